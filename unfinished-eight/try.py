import sys, time, json, pathlib, shutil, math
from dataclasses import replace
from infra.settings import Settings
from infra.stack import flink
from infra.stack.harness import running_stack, run_services
from infra import trends
import tests_try as T
d=pathlib.Path("/tmp/i7/scratch-eight/stack"); shutil.rmtree(d, ignore_errors=True)
t=time.time()
def say(*a): print(f"{time.time()-t:7.1f}", *a, flush=True)
def settle(st, want):
    for i in range(25):
        got=T.latest(T.read(st))
        if got==None: continue
        bad=T.wrong(got, want)
        if not bad: return got
        time.sleep(3)
    say("NOT EQUAL", len(got), len(want), bad[:4]); return got
with running_stack(d/"a", only=("broker","registry","topics","schemas"), settings=Settings(flink_environment="/tmp/i7/scratch-eight/venv-flink", trends_checkpoint_seconds=2)) as s:
    say("stores")
    st=s.settings
    r1=T.readings(0, 900); T.fill(st, r1)
    with run_services(flink.services(st), flink.own(st)) as f:
        say("flink up")
        trends.submit(st, trends.job(st)); say("submitted")
        T.push(st, 900)
        w=T.windows(r1); got=settle(st, w); say("equal so far", len(got), "rows", len(T.read(st)))
        for n in ("flink-jobs","flink-tasks"): print(n, [x.split()[1] for x in open(f"/proc/{f.pid(n)}/status") if "VmRSS" in x])
        c=trends.Cluster(st); print(c.checkpoints(c.live("trends").id)["counts"])
        r2=T.readings(900, 1500); T.fill(st, r2[:300])
        f.kill("flink-tasks"); f.kill("flink-jobs"); say("killed"); f.wait_healthy("flink-jobs",120); f.wait_healthy("flink-tasks",120)
        o=trends.newest_checkpoint(st); say("restore", o)
        for i in range(60):
            if trends.slots(st) if hasattr(trends,"slots") else True: break
        trends.submit(st, trends.job(st), o); say("resubmitted")
        T.fill(st, r2[300:]); T.push(st, 1500)
        w=T.windows(r1+r2); got=settle(st, w); allr=T.read(st); say("equal after kill", len(got), "rows", len(allr), "doubles", T.doubles(allr), "late", sum(x["late"] for x in got.values() if x["window"]=="1m"), "aside", sum(x["set_aside"] for x in got.values() if x["window"]=="1m"))
        say("worst", T.worst)
        say(c.stop(c.live("trends").id))
