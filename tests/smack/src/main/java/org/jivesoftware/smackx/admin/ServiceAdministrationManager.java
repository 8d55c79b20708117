package org.jivesoftware.smackx.admin;

import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import org.jivesoftware.smack.XMPPConnection;
import org.jxmpp.jid.EntityBareJid;

/**
 * Stands before Smack's class of this name, by which its tests make accounts as they need them: here by the command of
 * {@code perch.imd} with the configuration {@code perch.config}, as an administrator does.
 */
public final class ServiceAdministrationManager {

    private ServiceAdministrationManager() {}

    /** The manager; which connection it is for makes no difference. */
    public static ServiceAdministrationManager getInstanceFor(XMPPConnection connection) {
        return new ServiceAdministrationManager();
    }

    /** Makes an account. */
    public void addUser(EntityBareJid user, String password) throws InterruptedException {
        run(List.of("add", user.getLocalpart().toString(), "--password-stdin"), password + "\n");
    }

    /** Removes nothing: the server's folder goes with the test. */
    public void deleteUser(EntityBareJid user) {}

    private static void run(List<String> words, String input) throws InterruptedException {
        var command = new java.util.ArrayList<>(List.of(System.getProperty("perch.imd"), "user"));
        command.addAll(words);
        command.addAll(List.of("--config", System.getProperty("perch.config")));
        try {
            Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
            try (OutputStream stdin = process.getOutputStream()) {
                stdin.write(input.getBytes(StandardCharsets.UTF_8));
            }
            String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            if (process.waitFor() != 0) {
                throw new IllegalStateException(command + ": " + said);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
