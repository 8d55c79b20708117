//! `/people`.

use axum::Json;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::IntoParams;

use super::input::{Body, Path, Query, Text};
use super::problem::Problem;
use crate::admin::Administrator;
use crate::admin::accounts::{Login, NewPerson, PeopleView, PersonChange, PersonView, RemovedView};
use crate::admin::devices::{DeviceView, SignedOut};
use crate::admin::import::Imported;

type Answer<T> = Result<Json<T>, Problem>;

/// Which page of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Page {
    /// The username before the first one wanted; absent: from the beginning.
    after: Option<String>,
    /// How many at the most, 1 to 1000; absent: 100.
    max: Option<u32>,
    /// Only people whose username or display name has this in it, whatever the case.
    search: Option<String>,
}

/// List people in the order of their usernames.
#[utoipa::path(get, path = "/people", tag = "people", params(Page),
    responses((status = 200, body = PeopleView), (status = "default", body = Problem)))]
pub(super) async fn list(admin: Administrator, Query(page): Query<Page>) -> Answer<PeopleView> {
    let max = page.max.unwrap_or(100);
    let after = page.after.as_deref().filter(|after| !after.is_empty());
    match page.search.as_deref().map(str::trim) {
        None | Some("") => Ok(Json(admin.people(after, max).await?)),
        Some(search) => Ok(Json(admin.find_people(search, after, max).await?)),
    }
}

/// Create a person.
#[utoipa::path(post, path = "/people", tag = "people", request_body = NewPerson,
    responses((status = 201, body = PersonView), (status = "default", body = Problem)))]
pub(super) async fn create(
    admin: Administrator,
    Body(new): Body<NewPerson>,
) -> Result<(StatusCode, Json<PersonView>), Problem> {
    let person = admin.create_person(new).await?;
    Ok((StatusCode::CREATED, Json(person)))
}

/// Show a person.
#[utoipa::path(get, path = "/people/{username}", tag = "people", params(("username", description = "The name before @.")),
    responses((status = 200, body = PersonView), (status = "default", body = Problem)))]
pub(super) async fn show(admin: Administrator, Path(name): Path<String>) -> Answer<PersonView> {
    Ok(Json(admin.person(&name).await?))
}

/// Change role, password, display name, or whether the person may log in.
#[utoipa::path(patch, path = "/people/{username}", tag = "people", params(("username", description = "The name before @.")),
    request_body = PersonChange,
    responses((status = 200, body = PersonView), (status = "default", body = Problem)))]
pub(super) async fn change(
    admin: Administrator,
    Path(name): Path<String>,
    Body(change): Body<PersonChange>,
) -> Answer<PersonView> {
    Ok(Json(admin.change_person(&name, change).await?))
}

/// Remove a person and all that was theirs; the answer says what remains.
#[utoipa::path(delete, path = "/people/{username}", tag = "people", params(("username", description = "The name before @.")),
    responses((status = 200, body = RemovedView), (status = "default", body = Problem)))]
pub(super) async fn remove(admin: Administrator, Path(name): Path<String>) -> Answer<RemovedView> {
    Ok(Json(admin.remove_person(&name).await?))
}

/// List a person's devices: those with a session, and those that can log in without the password.
#[utoipa::path(get, path = "/people/{username}/devices", tag = "people", params(("username", description = "The name before @.")),
    responses((status = 200, body = Vec<DeviceView>), (status = "default", body = Problem)))]
pub(super) async fn devices(
    admin: Administrator,
    Path(name): Path<String>,
) -> Answer<Vec<DeviceView>> {
    Ok(Json(admin.devices(&name).await?))
}

/// Sign a device out: its sessions and notifications end, and it needs the password to come back.
#[utoipa::path(delete, path = "/people/{username}/devices/{id}", tag = "people",
    params(("username", description = "The name before @."), ("id", description = "The device's id.")),
    responses((status = 200, body = SignedOut), (status = "default", body = Problem)))]
pub(super) async fn sign_out(
    admin: Administrator,
    Path((name, id)): Path<(String, String)>,
) -> Answer<SignedOut> {
    Ok(Json(admin.sign_out(&name, &id).await?))
}

/// Say whether a password is a person's own: for a page on the same computer that lets administrators in. Attempts are
/// not slowed down here.
#[utoipa::path(post, path = "/people/{username}/login", tag = "people", params(("username", description = "The name before @.")),
    request_body = Login,
    responses((status = 200, body = PersonView),
        (status = 403, body = Problem, description = "Not the password, or nobody who may log in."),
        (status = "default", body = Problem)))]
pub(super) async fn login(
    admin: Administrator,
    Path(name): Path<String>,
    Body(login): Body<Login>,
) -> Answer<PersonView> {
    match admin.check_login(&name, login).await? {
        Some(person) => Ok(Json(person)),
        None => {
            let detail = "not the password, or nobody who may log in";
            Err(Problem::new(StatusCode::FORBIDDEN, detail))
        }
    }
}

/// Create people and groups from a CSV file: all rows or, with every bad row named, none.
#[utoipa::path(post, path = "/people/import", tag = "people",
    request_body(content = String, content_type = "text/csv"),
    responses((status = 200, body = Imported), (status = "default", body = Problem)))]
pub(super) async fn import(admin: Administrator, Text(csv): Text) -> Answer<Imported> {
    Ok(Json(admin.import_people(csv).await?))
}
