//! What visitors ask for, where they come from and what they use; the most frequent first.

pub(super) const PATHS: [&str; 16] = [
    "/",
    "/index.html",
    "/css/site.css",
    "/js/app.js",
    "/images/logo.png",
    "/favicon.ico",
    "/blog/",
    "/blog/2026/02/streams-in-rust.html",
    "/blog/tags/kafka",
    "/docs/getting-started?lang=en",
    "/search?q=word+count&page=2",
    "/feed.xml",
    "/robots.txt",
    "/api/v1/status",
    "/downloads/presentation%20slides.pdf",
    "/wp-login.php",
];

pub(super) const REFERERS: [&str; 6] = [
    "-",
    "https://example.org/",
    "https://www.google.com/",
    "https://example.org/blog/",
    "https://duckduckgo.com/?q=\\\"stream processing\\\"",
    "android-app://com.google.android.googlequicksearchbox/",
];

pub(super) const AGENTS: [&str; 9] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/133.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.3 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/133.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.3 Safari/605.1.15",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:135.0) Gecko/20100101 Firefox/135.0",
    "Mozilla/5.0 (X11; Linux x86_64; rv:135.0) Gecko/20100101 Firefox/135.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/133.0.0.0 Safari/537.36 Edg/133.0.0.0",
    "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/132.0.0.0 Safari/537.36",
    "Mozilla/5.0 (compatible; \\\"odd\\\" browser)",
];

pub(super) const BOTS: [&str; 5] = [
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "curl/8.12.1",
    "python-requests/2.32.3",
    "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)",
];
