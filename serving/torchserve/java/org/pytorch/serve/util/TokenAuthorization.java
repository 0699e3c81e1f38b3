package org.pytorch.serve.util;

import java.io.IOException;
import java.io.Reader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.Properties;

/**
 * The keys of TorchServe 0.12, as the operator gives them.
 *
 * <p>TorchServe's own class of this name draws keys of 48 bits when it starts, and has no setting for
 * others: two replicas behind one address would want two tokens. This one stands before it in the class
 * path of the container. It reads {@code inference} and {@code management} from the properties file that
 * the system property {@code slipway.keys} names; they hold until the server ends.
 */
public class TokenAuthorization {
    public enum TokenType {
        INFERENCE,
        MANAGEMENT,
        TOKEN_API
    }

    private static byte[] inference;
    private static byte[] management;

    /** Read the keys. The server does not start without them. */
    public static void init() {
        Properties keys = new Properties();
        try (Reader file = Files.newBufferedReader(Path.of(System.getProperty("slipway.keys")))) {
            keys.load(file);
        } catch (IOException error) {
            throw new IllegalStateException("the keys cannot be read", error);
        }
        inference = key(keys, "inference");
        management = key(keys, "management");
    }

    public static Boolean isEnabled() {
        return true;
    }

    /** Keys are replaced by the operator, not over the API. */
    public static String updateKeyFile(TokenType type) {
        return "{\n\t\"Error\": \"keys are given when the server starts\"\n}\n";
    }

    /** Whether {@code token} is the key for this kind of call. There is none for {@code TOKEN_API}. */
    public static boolean checkTokenAuthorization(String token, TokenType type) {
        if (token == null || type == TokenType.TOKEN_API) {
            return false;
        }
        byte[] key = type == TokenType.MANAGEMENT ? management : inference;
        return MessageDigest.isEqual(key, token.getBytes(StandardCharsets.UTF_8));
    }

    /** What follows {@code Bearer} in an Authorization header; an empty text for another kind of header. */
    public static String parseTokenFromBearerTokenHeader(String header) {
        String[] words = header == null ? new String[0] : header.trim().split("\\s+");
        return words.length == 2 && words[0].equals("Bearer") ? words[1] : "";
    }

    private static byte[] key(Properties keys, String name) {
        String key = keys.getProperty(name, "");
        if (key.isEmpty()) {
            throw new IllegalStateException("there is no key for " + name);
        }
        return key.getBytes(StandardCharsets.UTF_8);
    }
}
