import json, sys, pickle
from pyflink.common import Configuration
from pyflink.datastream import StreamExecutionEnvironment
from pyflink.table import StreamTableEnvironment
c = Configuration()
for k,v in {"parallelism.default":"1","table.local-time-zone":"UTC","rest.bind-port":"29250-29259","rest.port":"29250","table.exec.state.ttl":"3 h"}.items(): c.set_string(k,v)
t = StreamTableEnvironment.create(StreamExecutionEnvironment.get_execution_environment(c))
sys.path.insert(0,"/tmp/i7/wt-eight")
from streams.trends.flink import sql as S
t.execute_sql(f"CREATE TEMPORARY TABLE telemetry ({S.TELEMETRY_COLUMNS}, WATERMARK FOR received AS received - INTERVAL '5' SECOND) WITH ('connector'='filesystem','path'='file:///tmp/i7/scratch-eight/eq.jsonl','format'='json')")
for s in S.views(S.Pace()): t.execute_sql(s)
r=t.execute_sql("SELECT * FROM rows_of_trends")
names=r.get_table_schema().get_field_names()
out=[dict(zip(names,list(x))) for x in r.collect()]
json.dump(out, open("/tmp/i7/scratch-eight/eq-out.json","w")); print(len(out))
