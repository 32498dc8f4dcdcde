import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import org.apache.avro.Schema;
import org.apache.avro.SchemaCompatibility;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericFixed;
import org.apache.avro.generic.IndexedRecord;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.DecoderFactory;

/**
 * Apache Avro's Java implementation as an oracle: a JSON object per line in, one per line out, in order.
 *
 * In: {"reader": schema as text, "writer": schema as text, "bodies": [hex, ...]}.
 * Out: {"compatible": bool, "why": text, "values": [value or {"error": text}, ...]}, or {"bad": text} for a schema that
 * is none. A value is tagged where JSON would lose its type: {"i": "1"}, {"f": bits of the double in hex}, {"s": text},
 * {"b": hex}, {"l": [...]}, {"m": {...}} for maps and records alike; null and booleans are themselves.
 */
public class Oracle {
    static final ObjectMapper JSON = new ObjectMapper();

    public static void main(String[] arguments) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            out.println(JSON.writeValueAsString(answer(JSON.readTree(line))));
            out.flush();
        }
    }

    static Map<String, Object> answer(JsonNode asked) {
        Map<String, Object> said = new TreeMap<>();
        Schema reader;
        Schema writer;
        try {
            reader = new Schema.Parser().parse(asked.get("reader").asText());
            writer = new Schema.Parser().parse(asked.get("writer").asText());
        } catch (RuntimeException error) {
            said.put("bad", error.toString());
            return said;
        }
        try {
            SchemaCompatibility.SchemaPairCompatibility found =
                SchemaCompatibility.checkReaderWriterCompatibility(reader, writer);
            said.put("compatible", found.getType() == SchemaCompatibility.SchemaCompatibilityType.COMPATIBLE);
            said.put("why", found.getResult().getIncompatibilities().toString());
        } catch (RuntimeException error) { // a reader's field that matches two of the writer's
            said.put("compatible", false);
            said.put("why", error.toString());
        }
        List<Object> values = new ArrayList<>();
        for (JsonNode body : asked.get("bodies")) {
            values.add(read(writer, reader, bytes(body.asText())));
        }
        said.put("values", values);
        return said;
    }

    static Object read(Schema writer, Schema reader, byte[] body) {
        try {
            BinaryDecoder decoder = DecoderFactory.get().binaryDecoder(body, null);
            return tagged(new GenericDatumReader<Object>(writer, reader).read(null, decoder));
        } catch (Exception | StackOverflowError error) {
            return Map.of("error", error.toString());
        }
    }

    static Object tagged(Object value) {
        if (value == null || value instanceof Boolean) {
            return value;
        }
        if (value instanceof Integer || value instanceof Long) {
            return Map.of("i", value.toString());
        }
        if (value instanceof Float || value instanceof Double) {
            return Map.of("f", Long.toHexString(Double.doubleToLongBits(((Number) value).doubleValue())));
        }
        if (value instanceof ByteBuffer) {
            ByteBuffer buffer = ((ByteBuffer) value).duplicate();
            byte[] found = new byte[buffer.remaining()];
            buffer.get(found);
            return Map.of("b", hex(found));
        }
        if (value instanceof GenericFixed) {
            return Map.of("b", hex(((GenericFixed) value).bytes()));
        }
        if (value instanceof List) {
            List<Object> items = new ArrayList<>();
            ((List<?>) value).forEach(item -> items.add(tagged(item)));
            return Map.of("l", items);
        }
        Map<String, Object> items = new TreeMap<>();
        if (value instanceof IndexedRecord) {
            IndexedRecord record = (IndexedRecord) value;
            record.getSchema().getFields().forEach(field -> items.put(field.name(), tagged(record.get(field.pos()))));
            return Map.of("m", items);
        }
        if (value instanceof Map) {
            ((Map<?, ?>) value).forEach((key, item) -> items.put(key.toString(), tagged(item)));
            return Map.of("m", items);
        }
        return Map.of("s", value.toString()); // text, or the symbol of an enum
    }

    static byte[] bytes(String hex) {
        byte[] made = new byte[hex.length() / 2];
        for (int i = 0; i < made.length; i++) {
            made[i] = (byte) Integer.parseInt(hex.substring(2 * i, 2 * i + 2), 16);
        }
        return made;
    }

    static String hex(byte[] octets) {
        StringBuilder made = new StringBuilder();
        for (byte octet : octets) {
            made.append(String.format("%02x", octet));
        }
        return made.toString();
    }
}
