//! The overview's charts: pictures by the server, their values for the script that draws them anew, and that script.

use provisioner::web::history::{History, Sample};
use provisioner::web::visitor::now;
use serde_json::Value;

use super::site::Site;

/// Two hours of figures that end now, without the half hour in the middle.
fn make_history(site: &Site) {
    let history = History::open(&site.folder.path().join("history.db")).unwrap();
    let end = now();
    for back in (0..120).rev().filter(|back| !(45..75).contains(back)) {
        let sample = Sample {
            at: end - back * 60,
            online: Some(3.0),
            disk: Some(4.2e9),
            ..Sample::default()
        };
        history.note(sample).unwrap();
    }
}

#[tokio::test]
async fn each_picture_says_in_the_page_what_its_values_are_in() {
    let site = Site::claimed().await;
    make_history(&site);
    let mut anna = site.anna().await;
    let page = anna.open("/admin").await;
    for has in [
        "data-charts=\"/admin/history\"",
        "data-line=\"online\" data-unit=\"\" data-divisor=\"1\"",
        "data-line=\"disk\" data-unit=\"GB\" data-divisor=\"1000000000\"",
        "aria-label=\"Disk in use: between 4.2 GB and 4.2 GB, now 4.2 GB.\"",
    ] {
        assert!(page.has(has), "{has} is not in {}", page.text);
    }
    assert!(!page.has("data-line=\"temperature\""), "{}", page.text);
    let page = anna.open("/admin?time=month").await;
    assert!(page.has("data-charts=\"/admin/history?time=month\""));
}

#[tokio::test]
async fn the_values_have_a_moment_each_and_null_where_nothing_is_known() {
    let site = Site::claimed().await;
    make_history(&site);
    let mut anna = site.anna().await;
    for (path, step, least) in [
        ("/admin/history", 300, 288),
        ("/admin/history?time=month", 3600, 720),
    ] {
        let answer = anna.open(path).await;
        assert_eq!(answer.headers["content-type"], "application/json");
        let values: Value = serde_json::from_str(&answer.text).unwrap();
        let time = values["time"].as_array().unwrap();
        assert!((least..=least + 1).contains(&time.len()), "{}", time.len());
        let apart = time
            .windows(2)
            .map(|two| two[1].as_i64().unwrap() - two[0].as_i64().unwrap());
        assert!(apart.into_iter().all(|seconds| seconds == step), "{path}");
        let disk = values["disk"].as_array().unwrap();
        assert_eq!(disk.len(), time.len());
        assert!(disk.contains(&Value::from(4.2e9)) && disk[0].is_null());
        let temperatures = values["temperature"].as_array().unwrap();
        assert!(temperatures.iter().all(Value::is_null), "none is known");
    }
    let answer = anna.open("/admin/history").await;
    let values: Value = serde_json::from_str(&answer.text).unwrap();
    let online = values["online"].as_array().unwrap();
    let known: Vec<bool> = online.iter().map(|value| !value.is_null()).collect();
    let pieces = known.chunk_by(|one, other| one == other).count();
    assert!(
        (4..=5).contains(&pieces),
        "one gap: {answer}",
        answer = answer.text
    );
}

#[tokio::test]
async fn the_values_are_for_administrators_alone() {
    let site = Site::claimed().await;
    let mut stranger = site.browser("192.168.1.77");
    let page = stranger.open("/admin").await;
    let values = stranger.open("/admin/history").await;
    assert_eq!((values.status, page.status), (303, 303));
    assert!(
        values.location.starts_with("/sign-in"),
        "{}",
        values.location
    );
    assert!(values.text.is_empty(), "{}", values.text);
}

#[tokio::test]
async fn uplot_is_served_where_the_image_has_it_and_else_is_not_there() {
    let site = Site::claimed().await;
    let mut browser = site.browser("192.168.1.23");
    for (name, kind) in [
        ("uPlot.iife.min.js", "text/javascript; charset=utf-8"),
        ("uPlot.min.css", "text/css; charset=utf-8"),
    ] {
        let path = format!("/static/{name}");
        assert_eq!(browser.open(&path).await.status, 404);
        site.put(&format!("/usr/share/perch/charts/{name}"), "/* uPlot */");
        let file = browser.open(&path).await;
        assert_eq!((file.status, file.text.as_str()), (200, "/* uPlot */"));
        assert_eq!(file.headers["content-type"], kind);
    }
}
