use http_body_util::Full;
use hyper::Request;

use crate::harness::{DOMAIN, Site, text};

/// A folder that looks like the one that `ci/web-chat` makes.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("converse.min.js", "plain");
    write("converse.min.js.gz", "packed");
    write("converse.min.css", "style");
    folder
}

async fn site(folder: &tempfile::TempDir) -> Site {
    Site::start(&format!(
        "[web]\nweb_root = {:?}\n",
        folder.path().to_str().unwrap()
    ))
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_files_the_web_chat_says_what_to_do() {
    let site = Site::start("").await;
    let response = site.get("/chat/").await;
    assert_eq!(response.status(), 503);
    assert!(text(&response).contains("ci/web-chat") && text(&response).contains("web_root"));
    assert_eq!(
        site.get("/chat/converse/converse.min.js").await.status(),
        503
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_web_chat_loads_only_from_its_server_and_knows_it() {
    let folder = folder();
    let site = site(&folder).await;
    let moved = site.get("/chat").await;
    assert_eq!(
        (moved.status().as_u16(), &moved.headers()["location"]),
        (308, &"/chat/".parse().unwrap())
    );
    let start = site.get("/").await;
    assert_eq!(
        (start.status().as_u16(), &start.headers()["location"]),
        (307, &"/chat/".parse().unwrap())
    );
    let page = site.get("/chat/").await;
    let html = text(&page);
    for attribute in ["src=\"", "href=\""] {
        for part in html.split(attribute).skip(1) {
            assert!(part.starts_with("/chat/"), "{part}");
        }
    }
    assert!(!html.contains("style=") && !html.contains("<script>"));
    let policy = page.headers()["content-security-policy"].to_str().unwrap();
    assert!(
        policy.contains("script-src 'self' 'wasm-unsafe-eval';"),
        "{policy}"
    );
    assert!(policy.contains("connect-src 'self' wss://perch.test https://perch.test;"));
    let start = site.get("/chat/start.js").await;
    assert!(text(&start).contains("\"domain\":\"perch.test\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_come_compressed_and_are_not_sent_again_unchanged() {
    let folder = folder();
    let site = site(&folder).await;
    let get = async |name: &'static str, value: String| {
        let request = Request::get("/chat/converse/converse.min.js").header("host", DOMAIN);
        site.send(request.header(name, value).body(Full::default()).unwrap())
            .await
    };
    let plain = get("x-none", String::new()).await;
    assert_eq!(text(&plain), "plain");
    assert_eq!(
        plain.headers()["content-type"],
        "text/javascript; charset=utf-8"
    );
    let packed = get("accept-encoding", "gzip, br".to_owned()).await;
    assert_eq!(
        (text(&packed), &packed.headers()["content-encoding"]),
        ("packed", &"gzip".parse().unwrap())
    );
    let tag = plain.headers()["etag"].to_str().unwrap().to_owned();
    assert_eq!(get("if-none-match", tag).await.status(), 304);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_outside_the_folder_is_served() {
    let folder = folder();
    let site = site(&folder).await;
    for path in [
        "../server.key",
        "..%2fserver.key",
        "%2e%2e/server.key",
        ".",
        "images",
        "none.js",
    ] {
        let response = site.get(&format!("/chat/converse/{path}")).await;
        assert_eq!(response.status(), 404, "{path}");
    }
}
