//! HTTP/2 without and with TLS, and certificates that change: the program.

use std::{fs, path::Path, sync::Arc, time::Duration};

use axum::body::{Body, Bytes};
use http::{Request, Response, StatusCode, Version};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::{
    body::Incoming,
    client::conn::http2::{Builder, SendRequest, handshake},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
        client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        crypto::ring,
        pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
    },
};

use crate::{
    hostile::Hostile,
    page,
    program::Program,
    raw::{self, LONG, total},
    support::{CHAT, TestResult, call_of},
};

const ONE: (&str, &str) = (
    include_str!("certificates/one.cert.pem"),
    include_str!("certificates/one.key.pem"),
);
const TWO: (&str, &str) = (
    include_str!("certificates/two.cert.pem"),
    include_str!("certificates/two.key.pem"),
);

fn host(program: &Program) -> TestResult<String> {
    Ok(program
        .at
        .split_once("://")
        .ok_or("no scheme")?
        .1
        .to_owned())
}

async fn client<T>(io: T) -> TestResult<SendRequest<Body>>
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (client, connection) = handshake(TokioExecutor::new(), TokioIo::new(io)).await?;
    tokio::spawn(connection);
    Ok(client)
}

async fn send(
    client: &mut SendRequest<Body>,
    request: Request<Body>,
) -> TestResult<Response<Incoming>> {
    client.ready().await?;
    Ok(timeout(LONG, client.send_request(request)).await??)
}

/// A call as HTTP/2 has it: with an authority and no connection.
fn call(program: &Program, model: &str, key: &str) -> TestResult<Request<Body>> {
    let body = raw::body(model, serde_json::json!({"stream": true})).to_string();
    let request = Request::post(format!("{}{CHAT}", program.at))
        .version(Version::HTTP_2)
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "application/json");
    Ok(request.body(Body::from(body))?)
}

#[tokio::test]
async fn http2_is_spoken_to_who_begins_with_it() -> TestResult {
    let program = Program::start(&[])?;
    let mut client = client(TcpStream::connect(host(&program)?).await?).await?;
    for stream in [false, true] {
        let mut request = call_of("sk-demo", CHAT, "Tell me of rivers.", stream);
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = format!("{}{CHAT}", program.at).parse()?;
        let answer = send(&mut client, request).await?;
        assert_eq!(answer.version(), Version::HTTP_2);
        assert_eq!(answer.status(), StatusCode::OK);
        let body = answer.into_body().collect().await?.to_bytes();
        assert_eq!(body.ends_with(b"data: [DONE]\n\n"), stream);
    }
    Ok(())
}

/// A client takes a body there for an error of the protocol.
#[tokio::test]
async fn a_head_has_no_body() -> TestResult {
    let program = Program::start(&[])?;
    let mut client = client(TcpStream::connect(host(&program)?).await?).await?;
    for (path, status) in [
        (CHAT, StatusCode::METHOD_NOT_ALLOWED),
        ("/v1/files", StatusCode::NOT_FOUND),
        ("/healthz", StatusCode::OK),
        ("/usage", StatusCode::OK),
    ] {
        let request = Request::head(format!("{}{path}", program.at))
            .version(Version::HTTP_2)
            .header("authorization", "Bearer sk-demo")
            .body(Body::empty())?;
        let answer = send(&mut client, request).await?;
        assert_eq!(answer.status(), status, "{path}");
        let body = answer.into_body().collect().await?.to_bytes();
        assert!(body.is_empty(), "{path} {body:?}");
    }
    Ok(())
}

/// On one connection, which others share: a proxy's.
#[tokio::test]
async fn one_stream_that_is_not_read_is_cut_and_the_others_go_on() -> TestResult {
    let (hostile, upstream) = Hostile::start().await?;
    let program = Program::start(&[
        &upstream,
        "--admin-key=sk-secret-admin",
        "--key=acme=sk-secret-acme",
        "--rpm=1000",
        "--tpm=1000000000",
        "--write-timeout=0.7",
    ])?;
    let mut client = client(TcpStream::connect(host(&program)?).await?).await?;
    let unread = call(&program, "endless", "sk-secret-acme")?;
    let unread = send(&mut client, unread).await?;
    let read = call(&program, "endless", "sk-secret-acme")?;
    let mut read = send(&mut client, read).await?.into_body();
    hostile.running(2).await;
    while hostile.streams() == 2 {
        frame(&mut read).await?;
    }
    for _ in 0..50 {
        frame(&mut read).await?;
    }
    assert_eq!(hostile.streams(), 1);
    let usage = total(&program).await?;
    assert_eq!(
        (&usage["calls"], &usage["cancelled"]),
        (&1.into(), &1.into())
    );
    // Its reader is told once it reads again.
    let mut unread = unread.into_body();
    let broken = async { while frame(&mut unread).await.is_ok() {} };
    timeout(LONG, broken).await?;
    Ok(())
}

/// A reader without a window holds them all, and needs no key for that.
#[tokio::test]
async fn so_many_answers_wait_for_strangers_and_no_more() -> TestResult {
    const MOST: usize = 512;
    let program = Program::start(&["--admin-key=sk-secret-admin", "--write-timeout=600"])?;
    let mut held = Vec::new();
    for number in 0..MOST + 60 {
        if number % 100 == 0 {
            let io = TokioIo::new(TcpStream::connect(host(&program)?).await?);
            let mut builder = Builder::new(TokioExecutor::new());
            builder.initial_stream_window_size(0);
            let (client, connection) = builder.handshake(io).await?;
            tokio::spawn(connection);
            held.push((client, Vec::new()));
        }
        let (client, answers) = held.last_mut().ok_or("no connection")?;
        let path = [CHAT, "/v1/files", "/page/page.js", "/usage"][number % 4];
        let request = Request::get(format!("{}{path}", program.at))
            .version(Version::HTTP_2)
            .header("host", "localhost")
            .body(Body::empty())?;
        let answer = send(client, request).await?;
        let is_empty = answer.body().is_end_stream();
        assert_eq!(is_empty, number >= MOST, "{number} {answer:?}");
        answers.push(answer);
    }
    // Not those of HTTP/1.1, one a connection, nor a caller's, who has a quota, nor the admin's.
    assert_eq!(raw::get(&program, "/healthz", "").await?.body, "ok");
    let mut reader = client(TcpStream::connect(host(&program)?).await?).await?;
    let mut request = call_of("sk-demo", CHAT, "Hi", false);
    *request.uri_mut() = format!("{}{CHAT}", program.at).parse()?;
    assert!(length(&mut reader, request).await? > 0);
    let session = page::session(&program).await?;
    let (_, cookie) = session.split_once(": ").ok_or("no cookie")?;
    for (path, name, value) in [
        ("/usage", "authorization", "Bearer sk-secret-admin"),
        ("/metrics", "authorization", "Bearer sk-secret-admin"),
        ("/admin/callers", "authorization", "Bearer sk-secret-admin"),
        ("/page/page.js", "cookie", cookie),
    ] {
        let request = Request::get(format!("{}{path}", program.at)).header(name, value);
        let length = length(&mut reader, request.body(Body::empty())?).await?;
        assert!(length > 0, "{path}");
    }
    drop(held);
    let health = || Request::get(format!("{}/healthz", program.at)).body(Body::empty());
    while length(&mut reader, health()?).await? == 0 {
        sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

async fn length(client: &mut SendRequest<Body>, request: Request<Body>) -> TestResult<usize> {
    let answer = send(client, request).await?;
    Ok(answer.into_body().collect().await?.to_bytes().len())
}

async fn frame(body: &mut Incoming) -> TestResult<Bytes> {
    let frame = timeout(LONG, body.frame()).await?.ok_or("it has ended")??;
    Ok(frame.into_data().unwrap_or_default())
}

#[tokio::test]
async fn tls_answers_both_versions_and_changes_its_certificate_on_a_signal() -> TestResult {
    let folder = tempfile::tempdir()?;
    let [certificate, key] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
    let write = |(new_certificate, new_key): (&str, &str)| {
        fs::write(&certificate, new_certificate).and_then(|()| fs::write(&key, new_key))
    };
    write(ONE)?;
    let flags = [
        format!("--tls-cert={}", certificate.display()),
        format!("--tls-key={}", key.display()),
        "--head-timeout=0.5".to_owned(),
    ];
    let program = Program::start(&flags.each_ref().map(String::as_str))?;
    assert!(program.at.starts_with("https://"), "{}", program.at);

    let mut one = connect(&program, b"http/1.1").await?;
    assert_eq!(shown(&one)?, in_file(ONE)?);
    assert_eq!(readyz(&mut one).await?, 200);
    let two = connect(&program, b"h2").await?;
    let mut client = client(two).await?;
    let mut request = call_of("sk-demo", CHAT, "Hi", false);
    *request.uri_mut() = format!("{}{CHAT}", program.at).parse()?;
    assert_eq!(send(&mut client, request).await?.status(), StatusCode::OK);

    write(TWO)?;
    program.signal("HUP")?;
    while shown(&connect(&program, b"http/1.1").await?)? != in_file(TWO)? {
        sleep(Duration::from_millis(5)).await;
    }
    // A certificate and another one's key: it says so, and goes on with what it had.
    write((ONE.0, TWO.1))?;
    program.signal("HUP")?;
    while readyz(&mut connect(&program, b"http/1.1").await?).await? == 200 {
        sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(
        shown(&connect(&program, b"http/1.1").await?)?,
        in_file(TWO)?
    );
    write(ONE)?;
    program.signal("HUP")?;
    while readyz(&mut connect(&program, b"http/1.1").await?).await? != 200 {
        sleep(Duration::from_millis(5)).await;
    }

    // No handshake at all is a head that does not come.
    let mut silent = TcpStream::connect(host(&program)?).await?;
    let closed = timeout(LONG, silent.read(&mut [0; 16])).await?;
    assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
    Ok(())
}

#[test]
fn a_certificate_that_cannot_be_used_is_told_at_the_start() -> TestResult {
    let folder = tempfile::tempdir()?;
    let [certificate, key] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
    for (in_certificate, in_key) in [("", ONE.1), (ONE.0, ""), (ONE.0, TWO.1)] {
        fs::write(&certificate, in_certificate)?;
        fs::write(&key, in_key)?;
        let flag = |name: &str, path: &Path| format!("--{name}={}", path.display());
        let flags = [flag("tls-cert", &certificate), flag("tls-key", &key)];
        let error = Program::fails(&flags.each_ref().map(String::as_str))?;
        assert!(error.contains(".pem"), "{error}");
        assert!(!error.contains("MIGH"), "a key is shown");
    }
    Ok(())
}

async fn connect(program: &Program, protocol: &[u8]) -> TestResult<TlsStream<TcpStream>> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone))
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let name = ServerName::try_from("localhost")?;
    let socket = TcpStream::connect(host(program)?).await?;
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, socket)
        .await?;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol));
    Ok(stream)
}

fn shown(stream: &TlsStream<TcpStream>) -> TestResult<CertificateDer<'static>> {
    let chain = stream
        .get_ref()
        .1
        .peer_certificates()
        .ok_or("no certificate")?;
    Ok(chain[0].clone().into_owned())
}

fn in_file((certificate, _): (&str, &str)) -> TestResult<CertificateDer<'static>> {
    Ok(CertificateDer::from_pem_slice(certificate.as_bytes())?)
}

/// The status of `/readyz`.
async fn readyz(stream: &mut TlsStream<TcpStream>) -> TestResult<u16> {
    let request = b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await?;
    let mut text = String::new();
    // Some servers end without a farewell.
    let _ = stream.read_to_string(&mut text).await;
    Ok(raw::Answer::of(&text)?.status)
}

/// Takes every certificate: which one it is is compared by the test.
#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
