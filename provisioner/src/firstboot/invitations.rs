//! Step: a sheet of invitations on the card, for printing and cutting up: one person each, by any phone's camera.

use anyhow::{Context, Result, bail};
use qrcode::QrCode;
use qrcode::render::svg;

use super::FirstBoot;
use crate::files::Access;
use crate::imd_config;
use crate::web::texts::{Language, Texts};

/// The sheet, which every computer can open.
pub const SHEET: &str = "/boot/firmware/perch-invitations.html";
/// How long an invitation counts: from the first evening to the last one's return from holiday.
const DAYS: &str = "30";

/// Makes the number of invitations that the owner wants, once for each number that is asked for.
///
/// # Errors
/// imd refused, or the card cannot be written.
pub fn print(boot: &mut FirstBoot<'_>) -> Result<String> {
    let wanted = boot.state.settings.invitations.unwrap_or(0);
    if boot.state.invitations_printed == wanted {
        return Ok("as they were".to_owned());
    }
    if wanted == 0 {
        boot.files.remove(SHEET)?;
    } else {
        let links: Vec<String> = (0..wanted).map(|_| make(boot)).collect::<Result<_>>()?;
        let page = page(boot, &links)?;
        boot.files.replace(SHEET, page.as_bytes(), Access::Fat)?;
    }
    // Last: after a power cut before this, the sheet is made anew, and invitations that nobody has seen run out.
    boot.state.invitations_printed = wanted;
    boot.state.save(boot.files)?;
    Ok(format!("{wanted} printed"))
}

fn make(boot: &FirstBoot<'_>) -> Result<String> {
    let command = [
        "/usr/bin/imd",
        "invite",
        "add",
        "--config",
        imd_config::PATH,
        "--days",
        DAYS,
        "--note",
        "printed sheet",
    ];
    boot.files.change()?;
    let (status, said) = boot.system.run_as(Some("imd"), &command, None)?;
    if status != 0 {
        bail!("imd could not make an invitation: {said}");
    }
    // The first line is the link of the web, the second that of apps.
    let link = said.lines().next().unwrap_or_default();
    if !link.starts_with("https://") || link.contains(['<', '>', '&', '"', '\'']) {
        bail!("imd gave no link for an invitation");
    }
    Ok(link.to_owned())
}

fn page(boot: &FirstBoot<'_>, links: &[String]) -> Result<String> {
    let language = boot.state.settings.language.as_ref();
    let language = language.and_then(|language| Language::of_code(language.as_str()));
    let t = Texts(language.unwrap_or(Language::En));
    let domain = boot.state.domain();
    let (lang, title) = (t.0.code(), t.m("card-sheet-title"));
    let how = t.with("card-sheet-how", &[("days", DAYS)]);
    let mut text = format!(
        "<!DOCTYPE html>\n<html lang=\"{lang}\">\n<meta charset=\"utf-8\">\n<title>{title}: {domain}</title>\n\
         <style>body{{font:11pt sans-serif;display:grid;grid-template-columns:repeat(3,1fr);gap:4mm}}\
         section{{border:1px dashed #999;padding:4mm;break-inside:avoid;text-align:center}}\
         svg{{width:40mm;height:40mm}}small{{overflow-wrap:anywhere}}</style>\n",
        domain = domain.as_str()
    );
    for link in links {
        let code = QrCode::new(link).context("drawing a code")?;
        let drawn = code.render::<svg::Color<'_>>().build();
        let svg = drawn.find("<svg").and_then(|at| drawn.get(at..));
        text.push_str(&format!(
            "<section><b>{title}</b><br>{domain}<br>{svg}<br>{how}<br><small>{link}</small></section>\n",
            domain = domain.as_str(),
            svg = svg.unwrap_or_default()
        ));
    }
    text.push_str("</html>\n");
    Ok(text)
}
