//! One of the servers: Enforce > Meter > provider, and a ledger's file.
//!
//! Without Retry and Admission: a call is one attempt, so that the ledger and the provider count the same.

use std::{convert::Infallible, net::Ipv4Addr, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Body,
    extract::{Request, State},
    response::{IntoResponse, Response},
    routing::get,
    serve::ListenerExt,
};
use http::{StatusCode, header::CONTENT_TYPE};
use serde::{Deserialize, Serialize};
use tokio::{io::AsyncReadExt, net::TcpListener, time::timeout};
use tower::{ServiceBuilder, service_fn};
use tower_qwen_ratelimit::{
    Budgets, EnforceLayer, KeyOf, Limiter, Reserve, Sharing,
    enforce::Reserved,
    fleet::redis::{RedisOptions, RedisStore},
};
use tower_qwen_tokens::{
    Ledger, MeterLayer, PriceBook,
    ledger::{JsonLines, Tenant},
};

use super::{
    args::{ServerArgs, TenantArgs},
    client::{HttpClient, client},
    cpu,
    headers::{RESERVED, SENT, TENANT, text},
};

pub(crate) const CHAT: &str = "/v1/chat/completions";
pub(crate) const FIGURES: &str = "/figures";
const LONGEST_END: Duration = Duration::from_secs(5);

/// What a server has done so far.
#[derive(Debug, Default, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Served {
    pub(crate) round_trips: u64,
    /// How often the store went away.
    pub(crate) outages: u64,
    /// Lines that the ledger's file lacks.
    pub(crate) lost: u64,
    /// What it took of the processor. Unit: seconds.
    pub(crate) cpu: f64,
}

/// What the figures are read off.
#[derive(Debug, Clone)]
struct Sources {
    store: Option<RedisStore>,
    file: Arc<JsonLines>,
}

/// Writes its address to the standard output, and answers until its standard input ends.
pub(crate) async fn serve(args: ServerArgs) -> anyhow::Result<()> {
    let (store, driver) = match &args.redis {
        Some(address) => {
            let options = RedisOptions::new(address)?
                .sharing(Sharing::Lease)
                .outage(args.tenants.away.into());
            let (store, driver) = RedisStore::with_options(options).await?;
            (Some(store), Some(tokio::spawn(driver)))
        }
        None => (None, None),
    };
    let file = Arc::new(JsonLines::open(&args.ledger)?);
    let ledger = Ledger::new(PriceBook::builtin()).with_sink(file.clone());
    let (client, base) = (client(), Arc::from(args.base));
    let calls = ServiceBuilder::new()
        .map_request(named)
        .layer(enforce(&args.tenants, store.as_ref())?)
        .layer(MeterLayer::new(ledger))
        .service(service_fn(move |request| {
            forward(client.clone(), Arc::clone(&base), request)
        }));
    let router = Router::new()
        .route_service(CHAT, calls)
        .route(FIGURES, get(figures))
        .with_state(Sources {
            store: store.clone(),
            file,
        });
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("{}", listener.local_addr()?);
    let listener = listener.tap_io(|stream| {
        // A socket without it is only slower.
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, router)
        .with_graceful_shutdown(input_ends())
        .await?;
    if let (Some(store), Some(driver)) = (store, driver) {
        timeout(LONGEST_END, store.flush()).await.ok();
        drop(store);
        // What this server holds goes back to the store.
        timeout(LONGEST_END, driver).await.ok();
    }
    Ok(())
}

/// The tenants' quotas and budgets, over the store where there is one.
fn enforce(tenants: &TenantArgs, store: Option<&RedisStore>) -> anyhow::Result<EnforceLayer> {
    let mut limiter = Limiter::builder(tenants.quota());
    let mut budgets = Budgets::builder(PriceBook::builtin())
        .table(tenants.table())
        .reserve(Reserve::Ceiling);
    if let Some(store) = store {
        limiter = limiter.callers_store(store);
        budgets = budgets.store(store);
    }
    let enforce = EnforceLayer::new(limiter.build()?, KeyOf::extension::<Tenant>());
    Ok(enforce.budgets(budgets.build()?))
}

/// In the place of an auth, which a study of quotas does not need.
fn named(mut request: Request) -> Request {
    if let Some(tenant) = text(request.headers(), &TENANT).map(Tenant::new) {
        request.extensions_mut().insert(tenant);
    }
    request
}

async fn forward(
    client: HttpClient,
    base: Arc<str>,
    request: Request,
) -> Result<Response, Infallible> {
    let answer = send(client, &base, request).await;
    Ok(answer.unwrap_or_else(|error| {
        (StatusCode::BAD_GATEWAY, format!("no answer: {error:#}")).into_response()
    }))
}

async fn send(client: HttpClient, base: &str, request: Request) -> anyhow::Result<Response> {
    let reserved = Reserved::of(&request).map_or(0, |reserved| {
        reserved.input_tokens() + reserved.output_tokens()
    });
    let (head, body) = request.into_parts();
    let mut onward = http::Request::post(format!("{base}{CHAT}"))
        .header(CONTENT_TYPE, "application/json")
        .header(RESERVED, reserved);
    for name in [TENANT, SENT] {
        if let Some(value) = head.headers.get(&name) {
            onward = onward.header(name, value);
        }
    }
    let answer = client.request(onward.body(body)?).await?;
    Ok(answer.map(Body::new))
}

async fn figures(State(sources): State<Sources>) -> Json<Served> {
    let store = sources.store.map(|store| store.snapshot());
    Json(Served {
        round_trips: store.as_ref().map_or(0, |store| store.round_trips),
        outages: store.as_ref().map_or(0, |store| store.outages),
        lost: sources.file.lost(),
        cpu: cpu::used().as_secs_f64(),
    })
}

/// Ready when the program that has started this one wants it to end, or has ended itself.
async fn input_ends() {
    let mut rest = Vec::new();
    tokio::io::stdin().read_to_end(&mut rest).await.ok();
}
