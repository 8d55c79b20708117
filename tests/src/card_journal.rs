//! What a box's journal on its card says, for a machine that cannot be reached by network.

use anyhow::{Context, Result, ensure};

/// The journal of one boot shows a whole and orderly start.
///
/// # Errors
///
/// The lines that say otherwise.
pub fn assert_orderly_start(journal: &str) -> Result<()> {
    let failures: Vec<_> = journal
        .lines()
        .filter(|line| line.contains("systemd[1]:"))
        .filter(|line| {
            line.contains("Failed with result")
                || line.contains("Failed to start")
                || line.contains("ordering cycle")
        })
        .collect();
    ensure!(
        failures.is_empty(),
        "units have failed:\n{}",
        failures.join("\n")
    );
    let refused: Vec<_> = journal
        .lines()
        .filter(|line| line.contains("]: FAILED "))
        .collect();
    ensure!(
        refused.is_empty(),
        "settings were not applied:\n{}",
        refused.join("\n")
    );
    let place = |what: &str| {
        journal
            .lines()
            .position(|line| line.contains(what))
            .with_context(|| format!("the journal has no {what:?}"))
    };
    let applied = place("Finished perch-apply.service")?;
    let starting = place("Starting imd.service")?;
    let ready = place("Started imd.service")?;
    ensure!(
        applied < starting && starting < ready,
        "imd started before the settings were applied"
    );
    place("Reached target multi-user.target")?;
    let rows = journal.lines().filter(|line| {
        line.contains("provisioner[")
            && (line.contains("]: applied ") || line.contains("]: unchanged "))
    });
    let rows = rows.count();
    ensure!(
        rows >= 20,
        "the table of settings has only {rows} rows that were applied"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::assert_orderly_start;

    fn journal(middle: &str) -> String {
        let rows = "perch provisioner[1]: applied  net.core.somaxconn\n".repeat(20);
        format!(
            "{rows}perch systemd[1]: Finished perch-apply.service - x\n{middle}perch systemd[1]: Starting imd.service - x\nperch systemd[1]: Started imd.service - x\nperch systemd[1]: Reached target multi-user.target - x\n"
        )
    }

    #[test]
    fn a_failed_unit_is_seen() {
        assert!(assert_orderly_start(&journal("")).is_ok());
        let failed =
            journal("perch systemd[1]: avahi-daemon.service: Failed with result 'exit-code'.\n");
        assert!(assert_orderly_start(&failed).is_err());
    }
}
