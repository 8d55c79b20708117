//! A browser without scripts: it keeps cookies, and sends the hidden fields of the last page's forms along.

use std::collections::BTreeMap;
use std::path::PathBuf;

use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

pub struct Browser {
    socket: PathBuf,
    pub address: String,
    pub host: String,
    pub language: &'static str,
    pub cookies: BTreeMap<String, String>,
    pub token: String,
}

pub struct Page {
    pub status: u16,
    pub text: String,
    pub location: String,
    pub headers: hyper::HeaderMap,
}

impl Page {
    pub fn has(&self, text: &str) -> bool {
        self.text.contains(text)
    }
}

impl Browser {
    pub fn new(socket: PathBuf, address: &str) -> Self {
        Self {
            socket,
            address: address.to_owned(),
            host: "perch.local".to_owned(),
            language: "en",
            cookies: BTreeMap::new(),
            token: String::new(),
        }
    }

    pub async fn open(&mut self, path: &str) -> Page {
        self.ask("GET", path, None, &[]).await
    }

    /// Opens a page, and those that it leads to.
    pub async fn follow(&mut self, path: &str) -> Page {
        let mut page = self.open(path).await;
        for _ in 0..5 {
            if page.status != 303 {
                break;
            }
            let location = page.location.clone();
            page = self.open(&location).await;
        }
        page
    }

    /// Sends a form of the page that was opened last.
    pub async fn send(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let token = self.token.clone();
        self.send_with(path, &token, fields, &[("sec-fetch-site", "same-origin")])
            .await
    }

    /// Sends a form with a file of the page that was opened last.
    pub async fn send_file(&mut self, path: &str, fields: &[(&str, &str)], file: &str) -> Page {
        self.send_file_with(path, fields, file, &[]).await
    }

    pub async fn send_file_with(
        &mut self,
        path: &str,
        fields: &[(&str, &str)],
        file: &str,
        headers: &[(&str, &str)],
    ) -> Page {
        let mut body = String::new();
        let token = ("token", self.token.as_str());
        for (name, value) in [&[token], fields].concat() {
            body.push_str(&format!(
                "--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            ));
        }
        body.push_str(&format!(
            "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x.age\"\r\n\r\n{file}\r\n--b--\r\n"
        ));
        let kind = [("content-type", "multipart/form-data; boundary=b")];
        self.ask("POST", path, Some(body), &[&kind, headers].concat())
            .await
    }

    pub async fn send_with(
        &mut self,
        path: &str,
        token: &str,
        fields: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Page {
        let mut body = format!("token={}", escape(token));
        for (name, value) in fields {
            body.push_str(&format!("&{}={}", escape(name), escape(value)));
        }
        self.ask("POST", path, Some(body), headers).await
    }

    pub async fn ask(
        &mut self,
        method: &str,
        path: &str,
        body: Option<String>,
        headers: &[(&str, &str)],
    ) -> Page {
        let stream = UnixStream::connect(&self.socket).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.host)
            .header("x-real-ip", &self.address)
            .header("accept-language", self.language)
            .header("cookie", cookies.join("; "));
        if body.is_some() && !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header("content-type", "application/x-www-form-urlencoded");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request
            .body(Full::new(Bytes::from(body.unwrap_or_default())))
            .unwrap();
        let response = sender.send_request(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        for cookie in parts.headers.get_all("set-cookie") {
            let (name, rest) = cookie.to_str().unwrap().split_once('=').unwrap();
            self.cookies
                .insert(name.to_owned(), rest.split(';').next().unwrap().to_owned());
        }
        let text = String::from_utf8_lossy(&body).into_owned();
        if let Some((_, rest)) = text.split_once("name=\"token\" value=\"") {
            self.token = rest.split('"').next().unwrap().to_owned();
        }
        let header = |name: &str| {
            parts
                .headers
                .get(name)
                .map(|v| v.to_str().unwrap().to_owned())
                .unwrap_or_default()
        };
        Page {
            status: parts.status.as_u16(),
            location: header("location"),
            headers: parts.headers.clone(),
            text,
        }
    }
}

fn escape(text: &str) -> String {
    provisioner::web::imd::encoded(text)
}
