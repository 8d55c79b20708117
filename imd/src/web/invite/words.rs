//! What the pages say, in English and Chinese.

/// The words of one language. `{}` stands for a name.
pub(super) struct Words {
    /// The language's tag (BCP 47).
    pub(super) code: &'static str,
    pub(super) join: &'static str,
    pub(super) invited_by: &'static str,
    pub(super) invited: &'static str,
    pub(super) get_an_app: &'static str,
    pub(super) for_your_device: &'static str,
    pub(super) then_open: &'static str,
    pub(super) open_in_app: &'static str,
    pub(super) other_device: &'static str,
    pub(super) qr_alt: &'static str,
    pub(super) register_here: &'static str,
    pub(super) register_hint: &'static str,
    pub(super) register_and_chat: &'static str,
    pub(super) have_account: &'static str,
    pub(super) name: &'static str,
    pub(super) password: &'static str,
    pub(super) repeat: &'static str,
    pub(super) create: &'static str,
    pub(super) web_chat: &'static str,
    pub(super) welcome: &'static str,
    pub(super) your_address: &'static str,
    pub(super) log_in_with: &'static str,
    pub(super) new_password: &'static str,
    pub(super) new_password_for: &'static str,
    pub(super) set_password: &'static str,
    pub(super) sorry: &'static str,
    pub(super) not_usable: &'static str,
    pub(super) store: &'static str,
    pub(super) bad_name: &'static str,
    pub(super) name_taken: &'static str,
    pub(super) other_name: &'static str,
    pub(super) bad_password: &'static str,
    pub(super) not_repeated: &'static str,
}

const ENGLISH: Words = Words {
    code: "en",
    join: "Chat on {}",
    invited_by: "{} invites you to chat.",
    invited: "You are invited to chat.",
    get_an_app: "Get an app",
    for_your_device: "for this device",
    then_open: "Then open the invitation in it:",
    open_in_app: "Open in the app",
    other_device: "On another device? Scan this with its camera.",
    qr_alt: "The address of this page as QR code",
    register_here: "Or make your account here",
    register_hint: "Then log in with any of the apps.",
    register_and_chat: "Then chat in the browser at once, or log in with any of the apps.",
    have_account: "Do you have an account here already?",
    name: "Name",
    password: "Password (8 characters or more)",
    repeat: "Password once more",
    create: "Make the account",
    web_chat: "Chat in the browser",
    welcome: "Welcome, {}!",
    your_address: "Your address is",
    log_in_with: "Log in with it and your password in an app:",
    new_password: "A new password",
    new_password_for: "For the account {}.",
    set_password: "Set the password",
    sorry: "That did not work",
    not_usable: "This invitation cannot be used (any more). Please ask for a new one.",
    store: "The server takes no new data at the moment. Please try again later.",
    bad_name: "This cannot be a name: use letters, digits and . _ - without @ and what follows.",
    name_taken: "This name is taken. Please choose another one.",
    other_name: "This invitation is for the name {}.",
    bad_password: "This password cannot be used: it needs 8 characters or more.",
    not_repeated: "The two passwords are not the same.",
};

const CHINESE: Words = Words {
    code: "zh",
    join: "在 {} 上聊天",
    invited_by: "{} 邀请您聊天。",
    invited: "您收到了聊天邀请。",
    get_an_app: "安装应用",
    for_your_device: "适合此设备",
    then_open: "然后在应用中打开邀请：",
    open_in_app: "在应用中打开",
    other_device: "在其他设备上使用？请用其相机扫描。",
    qr_alt: "本页地址的二维码",
    register_here: "或在此创建账号",
    register_hint: "然后可用任一应用登录。",
    register_and_chat: "然后马上就能在浏览器中聊天，也可用任一应用登录。",
    have_account: "已经有这里的账号了？",
    name: "用户名",
    password: "密码（至少 8 个字符）",
    repeat: "再次输入密码",
    create: "创建账号",
    web_chat: "在浏览器中聊天",
    welcome: "欢迎，{}！",
    your_address: "您的地址是",
    log_in_with: "在应用中用此地址和密码登录：",
    new_password: "新密码",
    new_password_for: "账号 {} 的新密码。",
    set_password: "设置密码",
    sorry: "操作未成功",
    not_usable: "此邀请无法使用或已失效，请索取新的邀请。",
    store: "服务器目前无法保存数据，请稍后再试。",
    bad_name: "用户名无效：请使用字母、数字和 . _ -，不含 @ 及其后内容。",
    name_taken: "该用户名已被使用，请另选一个。",
    other_name: "此邀请仅供用户名 {} 使用。",
    bad_password: "密码无法使用：至少需要 8 个字符。",
    not_repeated: "两次输入的密码不一致。",
};

/// The language that a reader prefers (RFC 9110 §12.5.4): Chinese where it is wanted more than English.
pub(super) fn preferred(accept: &str) -> &'static Words {
    let quality = |wanted: &str| {
        accept
            .split(',')
            .filter_map(|range| {
                let mut parts = range.split(';');
                let tag = parts.next()?.trim().to_ascii_lowercase();
                let quality = parts
                    .find_map(|p| p.trim().strip_prefix("q=")?.parse::<f32>().ok())
                    .unwrap_or(1.0);
                (tag.split('-').next() == Some(wanted)).then_some(quality)
            })
            .fold(0.0, f32::max)
    };
    if quality("zh") > quality("en") {
        &CHINESE
    } else {
        &ENGLISH
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    /// The compiler holds both languages to the same fields.
    #[test]
    fn both_languages_have_every_word_with_the_same_places_for_names() {
        let source = include_str!("words.rs");
        let of = |name: &str| -> Vec<(&str, &str)> {
            let (_, words) = source
                .split_once(&format!("const {name}: Words = Words {{"))
                .unwrap();
            let (words, _) = words.split_once("\n};").unwrap();
            let fields = words
                .lines()
                .filter_map(|line| line.trim().split_once(": \""));
            fields
                .map(|(field, text)| (field, text.trim_end_matches("\",")))
                .collect()
        };
        let (english, chinese) = (of("ENGLISH"), of("CHINESE"));
        assert!(english.len() > 30 && english.len() == chinese.len());
        for ((field, en), (other, zh)) in english.into_iter().zip(chinese) {
            assert_eq!(field, other);
            assert!(!en.is_empty() && !zh.is_empty() && en != zh, "{field}");
            assert_eq!(
                en.matches("{}").count(),
                zh.matches("{}").count(),
                "{field}"
            );
            assert!(
                zh == "zh" || zh.chars().any(|c| c > '\u{2e7f}'),
                "{field}: {zh}"
            );
        }
    }

    #[test]
    fn the_reader_gets_the_language_that_is_wanted_most() {
        let cases = [
            ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
            ("en-US,en;q=0.9,zh;q=0.8", "en"),
            ("zh-TW;q=0.5,de", "zh"),
            ("de,fr;q=0.5", "en"),
            ("zh;q=x", "zh"),
            ("", "en"),
        ];
        for (accept, code) in cases {
            assert_eq!(preferred(accept).code, code, "{accept:?}");
        }
    }
}
