// Start the web chat for this server, in the browser's language: Chinese or English, whichever comes first.
const server = SETTINGS;

// Parts of Converse.js that would show its makers' site and load pictures from there. What is defined first stays.
class Brand extends HTMLElement {
    connectedCallback() {
        const name = document.createElement('h1');
        name.className = 'text-center p-4';
        name.textContent = server.domain;
        this.replaceChildren(name);
    }
}
class Footer extends HTMLElement {
    connectedCallback() {
        const made = document.createElement('a');
        made.href = '/chat/converse/LICENSE.txt';
        made.textContent = 'Converse.js, MPL-2.0';
        const line = document.createElement('p');
        line.className = 'text-center p-3';
        line.append(made);
        this.replaceChildren(line);
    }
}
class Nothing extends HTMLElement {}
customElements.define('converse-brand-logo', Brand);
customElements.define('converse-footer', Footer);
customElements.define('converse-controlbox-navbar', Nothing);

/** The name in the address of a link that leads here, such as /chat/#name=ann; it is taken out of the address. */
function nameOfLink() {
    const found = location.hash.match(/^#name=([^&]+)$/);
    if (!found) return undefined;
    history.replaceState(null, '', location.pathname);
    try {
        return decodeURIComponent(found[1]);
    } catch {
        return undefined;
    }
}

(() => {
    const name = nameOfLink();
    const known = (navigator.languages || [navigator.language]).find((tag) => /^(zh|en)\b/i.test(tag)) || 'en';
    let language = 'en';
    if (/^zh/i.test(known)) {
        language = /hant|tw|hk|mo/i.test(known) ? 'zh_TW' : 'zh_CN';
    }
    document.documentElement.lang = language.replace('_', '-');
    const socket = location.protocol === 'https:' ? 'wss:' : 'ws:';
    window.converse.initialize({
        assets_path: '/chat/converse/',
        view_mode: 'fullscreen',
        i18n: language,
        websocket_url: `${socket}//${location.host}/ws`,
        bosh_service_url: `${location.origin}/bosh`,
        // The address of every account here ends with the domain: people type their name only.
        locked_domain: server.domain,
        // Whoever has just made an account types the password only.
        ...(name ? { jid: name } : {}),
        muc_domain: server.rooms,
        locked_muc_domain: 'hidden',
        discover_connection_methods: false,
        // Accounts are made by invitation, on the invitation's page.
        allow_registration: false,
        auto_reconnect: true,
        // A reload logs in again with keys derived from the password, not with the password.
        reuse_scram_keys: true,
        message_archiving: 'always',
        archived_messages_page_size: 50,
        // Nothing is loaded from elsewhere by itself.
        render_media: [server.domain, location.hostname],
        show_send_button: true,
    });
})();
