import random, time, math
from confluent_kafka import Producer, Consumer, TopicPartition
import httpx, io, json, fastavro
from schemas.contract import load
from streams.trends.partial import Partial
from streams.trends.windows import windows_of, row_of
BASE=(1_780_000_000_000_000//3_600_000_000)*3_600_000_000
def readings(a,b):
    rnd=random.Random(a); out=[]
    for i in range(a,b):
        rec=BASE+i*1_000_000; at=rec-rnd.randrange(2_000_000); v=20+rnd.random()
        if i%50==7: at=rec-rnd.randrange(3600_000_000)   # kept for up to an hour
        if i%60==9: at=rec+10**12                         # fast clock
        if i%70==11: v=float("nan")
        if i%90==13: at=0
        r=rec
        if i%97==5: r=rec-40_000_000                       # reception goes back
        out.append((f"d{i%3}", r, at, v))
    return out
def fill(st, rs):
    C=load(); sch=C.records["TelemetryReceived"].schema
    sid=httpx.get(f"{st.registry}/subjects/fleet.telemetry-value/versions/latest").json()["id"]
    p=Producer({"bootstrap.servers":st.kafka}); ps=fastavro.parse_schema(json.loads(json.dumps(sch)))
    for d,rec,at,v in rs:
        b=io.BytesIO(); fastavro.schemaless_writer(b, ps, dict(event_id="01985c07-4a00-7000-8000-000000000001",device_id=d,occurred_at=rec,received_at=rec,boot_id="b",sequence=1,readings=[dict(metric="m",at=at,value=v,unit=None)]))
        p.produce("fleet.telemetry", key=d, value=b"\0"+sid.to_bytes(4,"big")+b.getvalue())
    p.flush()
def push(st, i):
    "later receptions of another device on every partition, so that the watermark goes on"
    C=load(); sch=C.records["TelemetryReceived"].schema
    sid=httpx.get(f"{st.registry}/subjects/fleet.telemetry-value/versions/latest").json()["id"]
    p=Producer({"bootstrap.servers":st.kafka}); ps=fastavro.parse_schema(json.loads(json.dumps(sch)))
    for part in range(6):
        rec=BASE+i*1_000_000+900_000_000
        b=io.BytesIO(); fastavro.schemaless_writer(b, ps, dict(event_id="01985c07-4a00-7000-8000-000000000001",device_id=f"push{part}",occurred_at=rec,received_at=rec,boot_id="b",sequence=1,readings=[dict(metric="m",at=rec,value=1.0,unit=None)]))
        p.produce("fleet.telemetry", key=f"push{part}", value=b"\0"+sid.to_bytes(4,"big")+b.getvalue(), partition=part)
    p.flush()
def windows(rs):
    ms={}
    for d,rec,at,v in rs:
        if math.isnan(v) or abs(v)>1e150 or at<rec-366*24*3600*10**6: continue
        at=min(at,rec); m=at-at%60_000_000
        for k in windows_of(m):
            ms.setdefault((d,*k),Partial(k[1])).add(at,v)
    return {k: row_of(p,k[0],"m",k[1:],(0,0)) for k,p in ms.items()}
def latest(rows):
    out={}
    for r in rows:
        if r["device_id"].startswith("push"): continue
        k=(r["device_id"],r["window"],r["start"])
        if k not in out or r["revision"]>=out[k]["revision"]: out[k]=r
    return out
worst={}
def wrong(got,want):
    bad=[]; worst.clear()
    for k,w in want.items():
        g=got.get(k)
        if g is None: bad.append(("missing",k)); continue
        for n in ("count","low","high","first","last","end"):
            if g[n]!=getattr(w,n): bad.append((k,n,g[n],getattr(w,n)))
        for n in ("mean","stddev","slope","r2"):
            a,b=g[n],getattr(w,n)
            if (a is None)!=(b is None): bad.append((k,n,a,b)); continue
            if b is None: continue
            e=abs(a-b)/max(abs(b),1e-300); 
            if n in("slope","r2"): e=min(e,abs(a-b)/1e-3)
            worst[n]=max(worst.get(n,0),e)
            if e>1e-9: bad.append((k,n,a,b))
    bad+=[("extra",k) for k in got.keys()-want.keys() if got[k]["count"]]
    return bad
def doubles(rows):
    ks=[(r["device_id"],r["window"],r["start"],r["revision"]) for r in rows]; return len(ks)-len(set(ks))
def read(st):
    C=load(); sch=fastavro.parse_schema(json.loads(json.dumps(C.records["TrendComputed"].schema)))
    c=Consumer({"bootstrap.servers":st.kafka,"group.id":"x","isolation.level":"read_committed","enable.partition.eof":True,"auto.offset.reset":"earliest"})
    c.assign([TopicPartition("fleet.trends",i,0) for i in range(6)]); out=[]; eof=0
    while eof<6:
        m=c.poll(5)
        if m is None: break
        if m.error(): eof+=1; continue
        out.append(fastavro.schemaless_reader(io.BytesIO(m.value()[5:]), sch))
        assert m.key().decode()==out[-1]["device_id"]
    c.close(); return out
