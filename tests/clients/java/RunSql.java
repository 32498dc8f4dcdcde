import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.Pattern;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;

/** Runs a file of Flink SQL in this process, as Flink's SQL client would: every statement, and its result as a table. */
public class RunSql {
    private static final Pattern SET = Pattern.compile("\\s*SET '([^']+)' = '([^']+)'\\s*");

    public static void main(String[] arguments) throws Exception {
        var tables = TableEnvironment.create(EnvironmentSettings.inStreamingMode());
        tables.getConfig().set("parallelism.default", "1");
        for (var statement : Files.readString(Path.of(arguments[0])).split(";\\s*\\n")) {
            var set = SET.matcher(statement);
            if (set.matches()) {
                tables.getConfig().set(set.group(1), set.group(2));
            } else if (!statement.isBlank()) {
                tables.executeSql(statement).print();
            }
        }
    }
}
