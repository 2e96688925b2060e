//! The form for the admin's key, and the session that it begins.

use std::sync::Arc;

use axum::{
    Form,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::{
    HeaderMap, StatusCode, Uri,
    header::{LOCATION, RETRY_AFTER, SET_COOKIE},
};
use serde::Deserialize;
use tracing::info;

use super::{
    assets::{LOGIN, html},
    session::{self, LASTS, NAME},
};
use crate::{
    access::{NoAdmin, Origin, origin},
    admin::AdminProblem,
    api_key::{ApiKey, KeyHash},
    gateway::Gateway,
    waits::whole_seconds,
};

#[derive(Deserialize)]
pub(super) struct Shown {
    key: String,
}

/// The form, with what was wrong with the key.
pub(super) fn form(problem: Option<&str>) -> Response {
    let problem =
        problem.map(|problem| format!("<p class=\"problem\" role=\"alert\">{problem}</p>"));
    html(LOGIN.replace("<!-- problem -->", &problem.unwrap_or_default()))
}

/// A key in a form: begins a session.
pub(super) async fn login(
    State(gateway): State<Arc<Gateway>>,
    uri: Uri,
    request: Request,
) -> Result<Response, AdminProblem> {
    if origin(request.headers(), &uri) != Origin::Same {
        return Err(AdminProblem::Origin);
    }
    let (parts, body) = request.into_parts();
    let request = Request::from_parts(parts.clone(), body);
    let Ok(Form(Shown { key })) = axum::RequestExt::extract(request).await else {
        return Err(AdminProblem::Body("send a form with a key".to_owned()));
    };
    let Ok(key) = key.trim().parse::<ApiKey>() else {
        return Ok((StatusCode::UNAUTHORIZED, form(Some("That is no key."))).into_response());
    };
    match gateway.check_admin_key(&key, &parts.extensions).await {
        Ok(()) => {}
        Err(NoAdmin::TooMany(wait)) => {
            let wait = whole_seconds(wait);
            let text =
                format!("Too many wrong keys came from your address. Try again in {wait} s.");
            let later = [(RETRY_AFTER, wait.to_string())];
            return Ok((StatusCode::TOO_MANY_REQUESTS, later, form(Some(&text))).into_response());
        }
        Err(_) => {
            let text = "That is not the admin's key.";
            return Ok((StatusCode::UNAUTHORIZED, form(Some(text))).into_response());
        }
    }
    let id = gateway.sessions.begin(KeyHash::of(&key));
    let id = id.map_err(AdminProblem::Unsaved)?;
    info!("the admin has logged in to the page");
    Ok(to_page(&gateway, &id, LASTS.as_secs()))
}

/// Ends the session.
pub(super) async fn logout(
    State(gateway): State<Arc<Gateway>>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, AdminProblem> {
    if origin(&headers, &uri) != Origin::Same {
        return Err(AdminProblem::Origin);
    }
    if let Some(id) = session::id(&headers) {
        gateway.sessions.end(id);
    }
    Ok(to_page(&gateway, "", 0))
}

/// Leads to the page, with a cookie for so many seconds.
fn to_page(gateway: &Gateway, id: &str, seconds: u64) -> Response {
    // Where the gateway itself speaks TLS; a proxy before it may speak it where the gateway does not.
    let secure = match gateway.args.tls_cert {
        Some(_) => "; Secure",
        None => "",
    };
    let cookie =
        format!("{NAME}={id}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
    let headers = [(SET_COOKIE, cookie), (LOCATION, "/".to_owned())];
    (StatusCode::SEE_OTHER, headers).into_response()
}
