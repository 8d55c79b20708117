package perch;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import org.igniterealtime.smack.inttest.FailedTest;
import org.igniterealtime.smack.inttest.SmackIntegrationTestFramework.TestRunResult;
import org.igniterealtime.smack.inttest.SmackIntegrationTestFramework.TestRunResultProcessor;
import org.igniterealtime.smack.inttest.SuccessfulTest;
import org.igniterealtime.smack.inttest.TestNotPossible;

/**
 * Writes what a run of Smack's tests found into the file named by {@code perch.results}: one line for each test, sorted,
 * with outcome, name and reason between tabs. Of tests with one name (a method that two classes inherit) the worst counts.
 */
public final class Results implements TestRunResultProcessor {

    private final Map<String, String> worst = new TreeMap<>();

    @Override
    public void process(TestRunResult run) {
        for (SuccessfulTest test : run.getSuccessfulTests()) {
            worst.putIfAbsent(test.concreteTest.toString(), "passed\t%s\t".formatted(test.concreteTest));
        }
        for (TestNotPossible test : run.getNotPossibleTests()) {
            note("not-applicable", test.concreteTest.toString(), test.testNotPossibleException);
        }
        run.getImpossibleTestClasses().forEach((tests, reason) -> note("not-applicable", tests.getSimpleName(), reason));
        for (FailedTest test : run.getFailedTests()) {
            note("failed", test.concreteTest.toString(), test.failureReason);
        }
        try {
            Files.write(Path.of(System.getProperty("perch.results")), worst.values());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private void note(String outcome, String test, Throwable reason) {
        String text = String.valueOf(reason).replaceAll("\\s+", " ");
        worst.put(test, "%s\t%s\t%s".formatted(outcome, test, text));
    }
}
