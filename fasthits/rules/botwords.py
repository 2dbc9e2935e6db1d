"""Words that tell bots beside the list of crawler-user-agents, and texts of people's agents that look like bots.

Each is here because it was worth it on real agents: docs/bots.md has the figures and the command that repeats them.
"""

WORDS = (
    # Bots that say so, or where their owner is to be found.
    *("bots?([^a-z]|$)", "crawl", "spider", "scrap(er|ing|y)", "://", r"www\.", r"^mozilla/5\.0 \(compatible; [a-z]"),
    # What bots are for.
    *("analys", "analyz", "archiv", "audit", "check([^o]|$)", "collector", "domain([^/]|$)", "extract", "feed"),
    *("fetch", "health", "inspect", "lookup", "monitor", "notif", "parser", "prerender", "preview", "probe"),
    *(
        "recon[/ -]",
        "research",
        r"rss([/ ;)\-]|$)",
        "scan",
        "screenshot",
        "sitemap",
        "snapshot",
        "subscriber",
        "survey",
    ),
    *("synthetic", "uptime", "validat", "verif", "google-"),
    # Browsers without a person.
    *("headless", "lighthouse", "phantomjs", "playwright", "puppeteer", "selenium", "webdriver"),
    # Tools that look for weak places.
    *("censys", "jndi:", "masscan", "nikto", "nmap", "shodan", "sqlmap", "zgrab"),
    # Libraries and tools that speak HTTP.
    *("aiohttp", "apache-", "axios/", "curl/", "go-http", "grpc-", "guzzle", "httpclient", "-http", "insomnia/"),
    *("^java[/ ]", "libsoup", "libwww-perl", "lwp::", "node-", "okhttp", "perl/", "^php", "postman", "python", "^ruby"),
    *("undici", "urllib", "wget", "winhttp"),
)
"""Regular expressions that are found in bots' agents, in any case of letters."""

PEOPLE = (
    # Browsers that say they are compatible.
    *("(compatible; ibrowse", "(compatible; konqueror", "(compatible; linux", "(compatible; msie"),
    *("(compatible; netscape", "(compatible; nokia", "(compatible; opera", "(compatible; oss"),
    *("(compatible; polaris", "(compatible; teleca", "(compatible; u;", "(compatible; x11"),
    # Phones.
    *("; b bot ", "; c bot tab", "cubot", "; id bot", "; idbot5", "; m bot ", "; m_bot_", "; power bot", "; vr bot"),
    *("; xbot", "; spider ", "butterfly build/", "htc butterfly", "htc j butterfly", "htc_butterfly", "viewsonic"),
    "ap3a.240617.008",  # a release of Android 15
    # Apps with a browser in them, and what browsers are extended by.
    *("camscanner", "firephp", "http://bsalsa.com", "http://www.xbmc.org", "metaiab facebook", "safari/537.36 viber"),
    *("sogoumobilebrowser", "sogoumse", "sogousearch", "sonic slack"),
)
"""Texts that are left out of an agent before it is called a bot, in any case of letters."""
