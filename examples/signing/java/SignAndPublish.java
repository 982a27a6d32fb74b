// Sign and publish one signal: java SignAndPublish.java FIELD VALUE [FIELD VALUE]...
import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.URI;
import java.security.GeneralSecurityException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.UUID;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

public final class SignAndPublish {
    /**
     * What is signed: a version, the stream, and every field but sig, each with its length in bytes.
     *
     * @param fields by lower-case name; a TreeMap has them in order
     */
    static String canonical(String stream, TreeMap<String, String> fields) {
        StringBuilder text = new StringBuilder("signalpaca-v1\n").append(line("stream", stream));
        for (Map.Entry<String, String> field : fields.entrySet()) {
            if (!field.getKey().equals("sig")) {
                text.append(line(field.getKey(), field.getValue()));
            }
        }
        return text.toString();
    }

    private static String line(String name, String value) {
        return name + "=" + value.getBytes(UTF_8).length + ":" + value + "\n";
    }

    /** HMAC-SHA256 as 64 lower-case hexadecimal digits. */
    static String sign(String secret, String stream, TreeMap<String, String> fields)
            throws GeneralSecurityException {
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(secret.getBytes(UTF_8), "HmacSHA256"));
        StringBuilder hex = new StringBuilder();
        for (byte b : mac.doFinal(canonical(stream, fields).getBytes(UTF_8))) {
            hex.append(String.format("%02x", b));
        }
        return hex.toString();
    }

    public static void main(String[] words) throws GeneralSecurityException {
        if (words.length == 0 || words.length % 2 != 0) {
            System.err.println("usage: SignAndPublish FIELD VALUE [FIELD VALUE]...");
            System.exit(2);
        }
        String[] key = System.getenv("SIGNAL_HMAC_KEY").split(":", 2);
        String stream = env("STREAM", "nvda");
        TreeMap<String, String> fields = new TreeMap<>();
        fields.put("signal_id", UUID.randomUUID().toString());
        fields.put("ts", String.valueOf(System.currentTimeMillis()));
        fields.put("kid", key[0]);
        for (int i = 0; i < words.length; i += 2) {
            fields.put(words[i].toLowerCase(Locale.ROOT), words[i + 1]);
        }
        fields.put("sig", sign(key[1], stream, fields));
        if (!env("SIGN_ONLY", "").isEmpty()) {
            System.out.println(fields.get("sig"));
            return;
        }
        List<String> command = new ArrayList<>(List.of("XADD", stream, "*"));
        fields.forEach((name, value) -> command.addAll(List.of(name, value)));
        try {
            System.out.println(redis(env("REDIS_URL", "redis://localhost:6379/0"), command));
        } catch (IOException error) {
            System.err.println("not published: " + error.getMessage());
            System.exit(1);
        }
    }

    /** Send one command to redis:// and return its answer; with a client library, use that. */
    private static String redis(String address, List<String> command) throws IOException {
        URI where = URI.create(address);
        List<List<String>> commands = new ArrayList<>();
        if (where.getUserInfo() != null) {
            String[] login = where.getUserInfo().split(":", 2);
            commands.add(List.of("AUTH", login[0].isEmpty() ? "default" : login[0], login[1]));
        }
        if (where.getPath().length() > 1) {
            commands.add(List.of("SELECT", where.getPath().substring(1)));
        }
        commands.add(command);
        try (Socket socket = new Socket()) {
            int port = where.getPort() < 0 ? 6379 : where.getPort();
            socket.connect(new InetSocketAddress(where.getHost(), port), 5000);
            socket.setSoTimeout(5000);
            OutputStream out = socket.getOutputStream();
            BufferedReader in = new BufferedReader(new InputStreamReader(socket.getInputStream(), UTF_8));
            String answer = "";
            for (List<String> words : commands) {
                StringBuilder text = new StringBuilder("*" + words.size() + "\r\n");
                for (String word : words) {
                    text.append("$").append(word.getBytes(UTF_8).length).append("\r\n");
                    text.append(word).append("\r\n");
                }
                out.write(text.toString().getBytes(UTF_8));
                answer = in.readLine();
                if (answer == null || answer.startsWith("-")) {
                    throw new IOException(answer == null ? "Redis hung up" : answer.substring(1));
                }
                if (answer.startsWith("$")) {
                    answer = in.readLine();
                }
            }
            return answer;
        }
    }

    private static String env(String name, String otherwise) {
        String value = System.getenv(name);
        return value == null || value.isEmpty() ? otherwise : value;
    }

    private SignAndPublish() {}
}
