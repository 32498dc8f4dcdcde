import json,sys,math
sys.path.insert(0,"/tmp/i7/wt-eight")
import tests_try as T
rs=T.readings(0,1500)
if sys.argv[1]=="w":
    with open("/tmp/i7/scratch-eight/eq.jsonl","w") as f:
        for d,rec,at,v in rs: f.write(json.dumps(dict(device_id=d,received_at=rec,readings=[dict(metric="m",at=at,value=v if v==v else 1e200,unit=None)]))+"\n")
else:
    rows=json.load(open("/tmp/i7/scratch-eight/eq-out.json")); got=T.latest(rows); want=T.windows(rs); bad=T.wrong(got,want)
    print("rows",len(rows),"windows",len(got),len(want),"wrong",len(bad),bad[:6],"worst",T.worst,"doubles",T.doubles(rows))
    print("late",sum(x["late"] for x in got.values() if x["window"]=="1m"),"aside",sum(x["set_aside"] for x in got.values() if x["window"]=="1m"), "true aside", sum(1 for d,r,a,v in rs if v!=v or a==0))
