use std::{
    convert::Infallible,
    future::Future,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use http_body_util::Empty;
use hyper::{Response, body::Bytes, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use reqwest::Url;
use tokio::net::TcpListener;

use crate::{BoxError, RETRIES};

/// Throttles the first few requests, and notes when each came.
pub(crate) struct Server {
    url: Url,
    times: Arc<Mutex<Vec<Instant>>>,
}

impl Server {
    pub(crate) async fn start() -> Result<Self, BoxError> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!(
            "http://{}/compatible-mode/v1/chat/completions",
            listener.local_addr()?
        );
        let times = Arc::new(Mutex::new(Vec::new()));
        tokio::spawn(serve(listener, Arc::clone(&times)));
        Ok(Self {
            url: url.parse()?,
            times,
        })
    }

    /// The time between each request of a call and the next.
    pub(crate) async fn gaps<F>(
        self,
        call: impl FnOnce(Url) -> F,
    ) -> Result<Vec<Duration>, BoxError>
    where
        F: Future<Output = Result<u16, BoxError>>,
    {
        let status = call(self.url).await?;
        assert_eq!(status, 200, "the fourth request is served");
        let times = self.times.lock().expect("unbroken");
        assert_eq!(times.len(), RETRIES as usize + 1);
        Ok(times.windows(2).map(|pair| pair[1] - pair[0]).collect())
    }
}

async fn serve(listener: TcpListener, times: Arc<Mutex<Vec<Instant>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let times = Arc::clone(&times);
        let service = service_fn(move |_| {
            let mut times = times.lock().expect("unbroken");
            times.push(Instant::now());
            let throttled = times.len() <= RETRIES as usize;
            async move { Ok::<_, Infallible>(answer(throttled)) }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

fn answer(throttled: bool) -> Response<Empty<Bytes>> {
    let mut answer = Response::new(Empty::new());
    if throttled {
        *answer.status_mut() = hyper::StatusCode::TOO_MANY_REQUESTS;
        let second = hyper::header::HeaderValue::from_static("1");
        answer.headers_mut().insert("retry-after", second);
    }
    answer
}
