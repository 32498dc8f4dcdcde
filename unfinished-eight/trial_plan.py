import json,sys
from pyflink.table import TableEnvironment, EnvironmentSettings
t=TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
j=json.load(open("/tmp/i7/scratch-eight/stack/b/flink/job.json"))
for k,v in j["configuration"].items(): t.get_config().set(k,v)
for s in j["statements"][:-1]: t.execute_sql(s)
try:
    x=t.explain_sql(j["statements"][-1]); print(x[x.index("== Optimized Phys"):][:6000])
except Exception as e:
    print(repr(type(e)), "\n".join(l[:700] for l in str(e).splitlines() if not l.startswith("\tat"))[:6000])
