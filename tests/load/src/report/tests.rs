use super::*;

fn outcome(server: &str, label: &str, figure: &str, value: f64) -> Outcome {
    let mut outcome = Outcome {
        server: server.to_owned(),
        label: label.to_owned(),
        ..Outcome::default()
    };
    outcome.figure(figure, value);
    outcome
}

fn table(figure: &str, label: &str, [ejabberd, prosody, imd]: [f64; 3]) -> String {
    let all = [("ejabberd", ejabberd), ("prosody", prosody), ("imd", imd)];
    let outcomes = all.map(|(server, value)| outcome(server, label, figure, value));
    let report = report(&outcomes);
    let line = |says: &&str| says.starts_with("| ") && says.contains("server CPU per login");
    report.lines().find(line).unwrap_or_default().to_owned()
}

#[test]
fn a_bar_is_met_by_the_figure_and_by_the_ratio_to_the_better_peer() {
    let figure = "server_cpu_ms_per_login";
    let met = table(figure, "login", [5.0, 4.0, 0.4]);
    assert_eq!(
        met,
        "| server CPU per login, ms | 5 | 4 | 0.400 | 10× | ≤ 0.400; 10× | met |"
    );
    let slow = table(figure, "login", [50.0, 40.0, 0.41]);
    assert!(
        slow.ends_with("| **missed** |"),
        "too much, although 97 times better: {slow}"
    );
    let beside = table(figure, "login", [50.0, 3.9, 0.4]);
    assert!(beside.ends_with("| **missed** |"), "9.75 times: {beside}");
}

#[test]
fn more_is_better_for_a_rate() {
    let row = ROWS
        .iter()
        .find(|row| row.figure == "logins_per_s")
        .unwrap();
    let ratio = times(row, 1300.0, &[Some(400.0), Some(130.0)]).unwrap();
    assert_eq!((ratio, met(row, 1300.0, Some(ratio))), (3.25, Some(true)));
    assert_eq!(met(row, 1199.0, None), Some(false));
}

#[test]
fn lost_messages_are_told() {
    let mut outcome = outcome("imd", "open", "sent", 12_000.0);
    outcome.figure("lost", 3.0);
    let report = report(&[outcome]);
    assert!(
        report.contains("| open | imd | 12,000 | 3 | 0 |"),
        "{report}"
    );
}

#[test]
fn numbers_have_three_digits() {
    let shown = [0.0, 0.0314, 1.234, 12.34, 1234.5, 1_234_567.0].map(number);
    assert_eq!(shown, ["0", "0.031", "1.23", "12.3", "1,234", "1,234,567"]);
}

#[test]
fn a_run_beside_other_work_is_told_to_be_no_measurement() {
    let told =
        |others| report(&[outcome("imd", "open", "others_cores", others)]).contains("not quiet");
    assert_eq!([told(0.2), told(1.5)], [false, true]);
}
