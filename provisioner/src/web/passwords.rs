//! How easily a password is guessed, by zxcvbn: no rules on digits and signs, but an estimate.

use zxcvbn::{Score, zxcvbn};

/// The fewest characters that the chat server takes.
const SHORTEST: usize = 8;
/// Longer ones are good anyway, and cost time.
const LOOKED_AT: usize = 100;

/// What is wrong with a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It has under 8 characters.
    Short,
    /// It would be guessed with some patience. `known`: it is one of those that everybody takes.
    Weak,
    /// It has characters that cannot be typed.
    Control,
    /// The second one differs.
    Repeat,
}

impl Fault {
    /// The key of its text.
    pub fn key(self) -> &'static str {
        match self {
            Self::Short => "password-short",
            Self::Weak => "password-weak",
            Self::Control => "password-control",
            Self::Repeat => "password-repeat",
        }
    }
}

/// Checks a password; `about`: what a stranger would try first, such as the person's name.
///
/// # Errors
/// What is wrong with it.
pub fn check(password: &str, repeat: &str, about: &[&str]) -> Result<(), Fault> {
    if password.chars().count() < SHORTEST {
        return Err(Fault::Short);
    }
    if password.chars().any(char::is_control) {
        return Err(Fault::Control);
    }
    let start: String = password.chars().take(LOOKED_AT).collect();
    // 3: safely unguessable, as zxcvbn puts it, where guesses are slow; here every one costs the guesser a wait.
    if zxcvbn(&start, about).score() < Score::Three {
        return Err(Fault::Weak);
    }
    if password != repeat {
        return Err(Fault::Repeat);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_judged_by_how_it_is_guessed() {
        let about = ["anna", "perch.local"];
        for (password, expected) in [
            ("short", Err(Fault::Short)),
            ("password123", Err(Fault::Weak)),
            ("Passw0rd!", Err(Fault::Weak)),
            ("anna1984", Err(Fault::Weak)),
            ("perch.local1", Err(Fault::Weak)),
            ("correct horse battery staple", Ok(())),
            ("kaffee im garten um sieben", Ok(())),
            ("晴天小狗在河边唱歌", Ok(())),
            ("a\u{7}bell rings in the yard", Err(Fault::Control)),
        ] {
            assert_eq!(check(password, password, &about), expected, "{password}");
        }
        assert_eq!(
            check("correct horse battery staple", "other", &about),
            Err(Fault::Repeat)
        );
    }
}
