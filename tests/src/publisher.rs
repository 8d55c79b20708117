//! A publisher's static HTTPS server on this computer, which counts what it sends and can be made to stall. A guest reaches it at [`Publisher::url`].

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::authority::Authority;

/// This computer, as QEMU's user network shows it to a guest.
const HOST: &str = "10.0.2.2";

/// A folder that is served until the test ends.
pub struct Publisher {
    /// Whatever is in here is served.
    pub folder: PathBuf,
    /// The certificate of the authority that signed the server's.
    pub authority: PathBuf,
    port: u16,
    sent: Arc<Sent>,
}

/// How much of a file was sent, ever.
#[derive(Clone, Copy, Default)]
pub struct Fetched {
    /// Bytes of its content.
    pub bytes: u64,
    /// In so many answers.
    pub requests: u64,
}

/// What was sent, and what may be.
#[derive(Default)]
struct Sent {
    /// How much of each file.
    files: Mutex<BTreeMap<String, Fetched>>,
    /// Bytes that may still be sent before everything stands still; absent: no limit.
    allowed: Mutex<Option<u64>>,
    more_allowed: Condvar,
}

impl Sent {
    /// Waits until so many bytes may be sent.
    fn wait_for_leave(&self, bytes: u64) {
        let allowed = self.allowed.lock().unwrap_or_else(PoisonError::into_inner);
        let standing = |allowed: &mut Option<u64>| allowed.is_some_and(|left| left < bytes);
        let allowed = self.more_allowed.wait_while(allowed, standing);
        if let Some(left) = &mut *allowed.unwrap_or_else(PoisonError::into_inner) {
            *left -= bytes;
        }
    }
}

impl Publisher {
    /// Serves `folder`/served with a certificate of an authority of its own.
    ///
    /// # Errors
    ///
    /// The folder cannot be made, or the computer has no port left.
    pub fn start(folder: &Path) -> Result<Self> {
        let served = folder.join("served");
        fs::create_dir_all(&served).with_context(|| format!("make {}", served.display()))?;
        let authority = Authority::new(folder, "publisher")?;
        let files = authority.certificate(folder, "server", HOST)?;
        let chain = CertificateDer::pem_file_iter(&files.chain)
            .context("read the server's certificate")?
            .collect::<Result<Vec<_>, _>>()
            .context("read the server's certificate")?;
        let key = PrivateKeyDer::from_pem_file(&files.key).context("read the server's key")?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let listener = TcpListener::bind("127.0.0.1:0").context("bind a free port")?;
        let publisher = Self {
            folder: served.clone(),
            authority: authority.file,
            port: listener.local_addr().context("the port's number")?.port(),
            sent: Arc::default(),
        };
        let (config, sent) = (Arc::new(config), Arc::clone(&publisher.sent));
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let (config, folder, sent) = (config.clone(), served.clone(), sent.clone());
                // A client that goes away is none of the test's errors.
                std::thread::spawn(move || answer_all(socket, config, &folder, &sent).ok());
            }
        });
        Ok(publisher)
    }

    /// The folder's address in a guest.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{HOST}:{}", self.port)
    }

    /// How much of a file was sent.
    #[must_use]
    pub fn sent(&self, name: &str) -> Fetched {
        let files = self.sent.files.lock();
        let files = files.unwrap_or_else(PoisonError::into_inner);
        files.get(name).copied().unwrap_or_default()
    }

    /// After so many more bytes of files nothing more is sent, and no connection closed; absent: everything goes on.
    pub fn stall_after(&self, bytes: Option<u64>) {
        let allowed = self.sent.allowed.lock();
        *allowed.unwrap_or_else(PoisonError::into_inner) = bytes;
        self.sent.more_allowed.notify_all();
    }
}

/// Answers one connection's requests until it ends.
fn answer_all(
    socket: TcpStream,
    config: Arc<ServerConfig>,
    folder: &Path,
    sent: &Sent,
) -> Result<()> {
    socket.set_nodelay(true)?;
    let connection = ServerConnection::new(config)?;
    let mut stream = BufReader::new(StreamOwned::new(connection, socket));
    while let Some(request) = read_request(&mut stream)? {
        let (head, body) = answer(&request, folder)?;
        let output = stream.get_mut();
        output.write_all(head.as_bytes())?;
        if let Some((mut file, length)) = body {
            sent.wait_for_leave(length);
            let copied = std::io::copy(&mut (&mut file).take(length), output)?;
            let mut files = sent.files.lock().unwrap_or_else(PoisonError::into_inner);
            let fetched = files.entry(request.name).or_default();
            fetched.bytes += copied;
            fetched.requests += 1;
        }
        output.flush()?;
    }
    Ok(())
}

/// What is wanted of which file.
struct Request {
    name: String,
    with_body: bool,
    /// First and last byte, as far as the client says.
    range: Option<(u64, Option<u64>)>,
}

fn read_request(stream: &mut impl BufRead) -> Result<Option<Request>> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let method = words.next().unwrap_or_default().to_owned();
    let name = words.next().context("a request without a path")?;
    let mut request = Request {
        name: name.trim_start_matches('/').to_owned(),
        with_body: method == "GET",
        range: None,
    };
    loop {
        let mut header = String::new();
        stream.read_line(&mut header)?;
        if header.trim().is_empty() {
            return Ok(Some(request));
        }
        let Some((key, value)) = header.split_once(':') else {
            bail!("no header: {header}");
        };
        if key.eq_ignore_ascii_case("range")
            && let Some(range) = value.trim().strip_prefix("bytes=")
            && let Some((first, last)) = range.split_once('-')
        {
            request.range = Some((first.parse()?, last.parse().ok()));
        }
    }
}

/// The head of the answer, and the file at the place from which so many bytes are sent.
fn answer(request: &Request, folder: &Path) -> Result<(String, Option<(File, u64)>)> {
    let found = (!request.name.contains('/'))
        .then(|| File::open(folder.join(&request.name)).ok())
        .flatten();
    let Some(mut file) = found else {
        return Ok((
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(),
            None,
        ));
    };
    let size = file.metadata()?.len();
    let (first, last) = request.range.unwrap_or((0, None));
    let end = last.map_or(size, |last| size.min(last + 1));
    if first >= size.max(1) {
        let head = format!(
            "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */{size}\r\nContent-Length: 0\r\n\r\n"
        );
        return Ok((head, None));
    }
    let length = end.saturating_sub(first);
    let status = match request.range {
        Some(_) => format!(
            "206 Partial Content\r\nContent-Range: bytes {first}-{}/{size}",
            end - 1
        ),
        None => "200 OK".to_owned(),
    };
    let head =
        format!("HTTP/1.1 {status}\r\nAccept-Ranges: bytes\r\nContent-Length: {length}\r\n\r\n");
    file.seek(SeekFrom::Start(first))?;
    Ok((head, request.with_body.then_some((file, length))))
}
