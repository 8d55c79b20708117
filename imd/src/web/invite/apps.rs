//! Apps to chat with, by what people hold in their hands.

/// What a page is looked at with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Platform {
    Android,
    Apple,
    Linux,
    Windows,
    Unknown,
}

impl Platform {
    /// What a browser says of itself.
    pub(super) fn of(user_agent: &str) -> Self {
        let has = |word: &str| user_agent.contains(word);
        if has("Android") {
            Self::Android
        } else if has("iPhone") || has("iPad") || has("Macintosh") {
            Self::Apple
        } else if has("Windows") {
            Self::Windows
        } else if has("Linux") || has("X11") {
            Self::Linux
        } else {
            Self::Unknown
        }
    }
}

/// An app that people know.
pub(super) struct App {
    pub(super) name: &'static str,
    /// Where it runs, as people say it.
    pub(super) runs_on: &'static str,
    /// Where to get it: what the place is called, and its address.
    pub(super) links: &'static [(&'static str, &'static str)],
    platforms: &'static [Platform],
}

const APPS: [App; 4] = [
    App {
        name: "Conversations",
        runs_on: "Android",
        links: &[
            (
                "F-Droid",
                "https://f-droid.org/packages/eu.siacs.conversations/",
            ),
            (
                "Google Play",
                "https://play.google.com/store/apps/details?id=eu.siacs.conversations",
            ),
        ],
        platforms: &[Platform::Android],
    },
    App {
        name: "Monal",
        runs_on: "iPhone, iPad, Mac",
        links: &[
            ("App Store", "https://apps.apple.com/app/id317711500"),
            ("monal-im.org", "https://monal-im.org/install/"),
        ],
        platforms: &[Platform::Apple],
    },
    App {
        name: "Dino",
        runs_on: "Linux",
        links: &[("dino.im", "https://dino.im/#download")],
        platforms: &[Platform::Linux],
    },
    App {
        name: "Gajim",
        runs_on: "Windows, Linux, Mac",
        links: &[("gajim.org", "https://gajim.org/download/")],
        platforms: &[Platform::Windows, Platform::Linux],
    },
];

/// Apps for a platform first, then the others; each with whether it is for that platform.
pub(super) fn sorted(platform: Platform) -> Vec<(&'static App, bool)> {
    let mut apps: Vec<_> = APPS
        .iter()
        .map(|app| (app, app.platforms.contains(&platform)))
        .collect();
    apps.sort_by_key(|(_, fits)| !fits);
    apps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_app_for_the_device_stands_first() {
        let phones = [
            ("Mozilla/5.0 (Linux; Android 14; Pixel 8)", "Conversations"),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X)",
                "Monal",
            ),
            ("Mozilla/5.0 (X11; Linux x86_64)", "Dino"),
            ("Mozilla/5.0 (Windows NT 10.0; Win64; x64)", "Gajim"),
        ];
        for (agent, name) in phones {
            let first = &sorted(Platform::of(agent))[0];
            assert_eq!((first.0.name, first.1), (name, true), "{agent}");
        }
        assert!(sorted(Platform::of("curl")).iter().all(|(_, fits)| !fits));
    }
}
