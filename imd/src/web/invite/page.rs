//! The pages' HTML. Everything that is not a constant is escaped.

use axum::http::StatusCode;
use imd_proto::xml::escape_into;
use imd_store::{Invite, InviteKind};

use super::apps::{self, Platform};
use super::words::Words;
use crate::admin::invites::RedeemError;
use crate::web::percent_encoded;

/// What went wrong, as readers are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    NotUsable,
    Store,
    BadName,
    NameTaken,
    OtherName(String),
    BadPassword,
    Repeat,
}

impl Fault {
    pub(super) fn of(error: &RedeemError) -> Self {
        match error {
            RedeemError::NotUsable => Self::NotUsable,
            RedeemError::BadName => Self::BadName,
            RedeemError::OtherName(name) => Self::OtherName(name.clone()),
            RedeemError::NameTaken => Self::NameTaken,
            RedeemError::Password(_) => Self::BadPassword,
            RedeemError::Store(_) => Self::Store,
        }
    }

    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::NotUsable => StatusCode::NOT_FOUND,
            Self::Store => StatusCode::SERVICE_UNAVAILABLE,
            Self::NameTaken => StatusCode::CONFLICT,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        }
    }

    fn text(&self, words: &Words) -> String {
        match self {
            Self::NotUsable => escaped(words.not_usable),
            Self::Store => escaped(words.store),
            Self::BadName => escaped(words.bad_name),
            Self::NameTaken => escaped(words.name_taken),
            Self::OtherName(name) => filled(words.other_name, name),
            Self::BadPassword => escaped(words.bad_password),
            Self::Repeat => escaped(words.not_repeated),
        }
    }
}

/// What all pages of a request have in common.
pub(super) struct Page<'a> {
    pub(super) words: &'static Words,
    pub(super) domain: &'a str,
    /// Whether there is a web chat.
    pub(super) chat: bool,
    pub(super) platform: Platform,
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    escape_into(&mut out, text);
    out
}

/// Words with a name in the place of `{}`.
fn filled(words: &str, name: &str) -> String {
    escaped(words).replace("{}", &format!("<b>{}</b>", escaped(name)))
}

impl Page<'_> {
    fn frame(&self, title: &str, body: &str) -> String {
        format!(
            "<!DOCTYPE html>\n<html lang=\"{}\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{}</title>\n\
             <link rel=\"stylesheet\" href=\"/invite/assets/style.css\">\n</head>\n<body>\n<main>\n\
             <h1>{}</h1>\n{body}</main>\n</body>\n</html>\n",
            self.words.code,
            title.replace("<b>", "").replace("</b>", ""),
            title
        )
    }

    /// An invitation; with what is wrong with the form that was sent, and the name in it.
    pub(super) fn invitation(
        &self,
        invite: &Invite,
        uri: &str,
        fault: Option<Fault>,
        name: &str,
    ) -> String {
        let words = self.words;
        if invite.kind == InviteKind::Reset {
            let user = invite.username.as_deref().unwrap_or_default();
            let intro = format!("<p>{}</p>\n", filled(words.new_password_for, user));
            let form = self.form(Some(user), false, words.set_password, fault, name);
            return self.frame(&escaped(words.new_password), &(intro + &form));
        }
        let who = match &invite.inviter {
            Some(inviter) => filled(words.invited_by, inviter),
            None => escaped(words.invited),
        };
        let mut body = format!("<p class=\"lead\">{who}</p>\n");
        // Whoever has just filled in the form looks for what is wrong with it.
        let form = if invite.kind == InviteKind::Account {
            self.register(invite, fault.clone(), name)
        } else {
            String::new()
        };
        if fault.is_some() {
            body.push_str(&form);
        }
        body.push_str(&self.apps());
        body.push_str(&format!(
            "<p>{}</p>\n<p><a class=\"button\" href=\"{}\">{}</a></p>\n</section>\n",
            escaped(words.then_open),
            escaped(uri),
            escaped(words.open_in_app)
        ));
        if fault.is_none() {
            body.push_str(&form);
        }
        if self.chat {
            body.push_str(&format!(
                "<p>{} <a href=\"/chat/\">{}</a></p>\n",
                escaped(words.have_account),
                escaped(words.web_chat)
            ));
        }
        body.push_str(&format!(
            "<section class=\"qr\">\n<p>{}</p>\n<img src=\"/invite/{}/qr.svg\" alt=\"{}\" width=\"240\" height=\"240\">\n</section>\n",
            escaped(words.other_device),
            escaped(&invite.token),
            escaped(words.qr_alt)
        ));
        self.frame(&filled(words.join, self.domain), &body)
    }

    fn register(&self, invite: &Invite, fault: Option<Fault>, name: &str) -> String {
        let words = self.words;
        let mut section = format!("<section>\n<h2>{}</h2>\n", escaped(words.register_here));
        section += &self.form(invite.username.as_deref(), true, words.create, fault, name);
        let hint = match self.chat {
            true => words.register_and_chat,
            false => words.register_hint,
        };
        section += &format!("<p>{}</p>\n</section>\n", escaped(hint));
        section
    }

    /// A form for a name, unless it is fixed, and a password.
    fn form(
        &self,
        fixed: Option<&str>,
        with_name: bool,
        button: &str,
        fault: Option<Fault>,
        name: &str,
    ) -> String {
        let words = self.words;
        let mut form = String::from("<form method=\"post\">\n");
        if let Some(fault) = fault {
            form += &format!(
                "<p class=\"fault\" role=\"alert\">{}</p>\n",
                fault.text(words)
            );
        }
        if with_name {
            let (value, lock) = match fixed {
                Some(fixed) => (fixed, " readonly"),
                None => (name, ""),
            };
            form += &format!(
                "<label>{} <span class=\"address\"><input name=\"name\" value=\"{}\" required autocapitalize=\"none\" \
                 autocomplete=\"username\" spellcheck=\"false\" maxlength=\"128\"{lock}>@{}</span></label>\n",
                escaped(words.name),
                escaped(value),
                escaped(self.domain)
            );
        }
        for (field, label) in [("password", words.password), ("repeat", words.repeat)] {
            form += &format!(
                "<label>{} <input type=\"password\" name=\"{field}\" required minlength=\"8\" autocomplete=\"new-password\"></label>\n",
                escaped(label)
            );
        }
        form + &format!("<button>{}</button>\n</form>\n", escaped(button))
    }

    /// The apps, those for the reader's device first; the section stays open for more.
    fn apps(&self) -> String {
        let mut out = format!(
            "<section>\n<h2>{}</h2>\n<ul class=\"apps\">\n",
            escaped(self.words.get_an_app)
        );
        for (app, fits) in apps::sorted(self.platform) {
            let class = if fits { " class=\"fits\"" } else { "" };
            out += &format!("<li{class}><b>{}</b> ({})", app.name, app.runs_on);
            if fits {
                out += &format!(" <em>{}</em>", escaped(self.words.for_your_device));
            }
            for (place, url) in app.links {
                out += &format!(" <a href=\"{}\" rel=\"noopener\">{place}</a>", escaped(url));
            }
            out += "</li>\n";
        }
        out + "</ul>\n"
    }

    /// The account is there.
    pub(super) fn welcome(&self, user: &str) -> String {
        let words = self.words;
        let mut body = format!(
            "<p class=\"lead\">{} <b class=\"jid\">{}@{}</b></p>\n<p>{}</p>\n{}</section>\n",
            escaped(words.your_address),
            escaped(user),
            escaped(self.domain),
            escaped(words.log_in_with),
            self.apps()
        );
        if self.chat {
            // Not sent to the server: the script of the chat takes the name, so that the password is all there is to type.
            body += &format!(
                "<p><a class=\"button\" href=\"/chat/#name={}\">{}</a></p>\n",
                percent_encoded(user),
                escaped(words.web_chat)
            );
        }
        self.frame(&filled(words.welcome, user), &body)
    }

    /// Nothing can be done here.
    pub(super) fn sorry(&self, fault: Fault) -> String {
        let body = format!("<p class=\"lead\">{}</p>\n", fault.text(self.words));
        self.frame(&escaped(self.words.sorry), &body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::invite::words::preferred;

    #[test]
    fn names_cannot_smuggle_markup() {
        let page = Page {
            words: preferred("en"),
            domain: "perch.test",
            chat: true,
            platform: Platform::Unknown,
        };
        let shown = page.welcome("<script>\"'&");
        assert!(!shown.contains("<script>"));
        assert!(shown.contains("&lt;script&gt;&quot;&apos;&amp;"));
        assert!(
            shown.contains("/chat/#name=%3Cscript%3E%22%27%26\""),
            "{shown}"
        );
    }
}
