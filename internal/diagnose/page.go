package diagnose

import (
	"bytes"
	"compress/gzip"
	"html"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/triage-lb/triage/internal/dialect"
)

// content is what the answer says, also where the check has allowed it to be compressed. Of content that was kept in part
// there is that part.
func (c *kase) content() string { return c.said }

// unpacked is the content as text. What is kept of a body is bounded, and so is what it may unpack to.
func (c *kase) unpacked() string {
	const most = 256 << 10
	if !strings.EqualFold(c.header("Content-Encoding"), "gzip") {
		return string(c.x.Body)
	}
	r, err := gzip.NewReader(bytes.NewReader(c.x.Body))
	if err != nil {
		return ""
	}
	text, _ := io.ReadAll(io.LimitReader(r, most)) // an error is the end of what was kept
	return string(text)
}

// isPage reports whether the answer is one for people: HTML.
func (c *kase) isPage() bool {
	return c.kind() == "text/html" || c.kind() == "" && strings.HasPrefix(strings.TrimSpace(c.content()), "<")
}

var (
	titleOf = regexp.MustCompile(`(?is)<title[^>]*>(.*?)</title>`)
	tags    = regexp.MustCompile(`(?s)<[^>]*>`)
	token   = regexp.MustCompile(`[A-Za-z0-9+/_-]{16,}={0,2}`)
)

// title is that of a page; "" if it has none.
func (c *kase) title() string {
	m := titleOf.FindStringSubmatch(c.content())
	if m == nil {
		return ""
	}
	return strings.Join(strings.Fields(html.UnescapeString(m[1])), " ")
}

// saysHealth reports whether an answer has the content of a check's own route, whatever its type: nothing, or hardly more
// than a word like ok. A server that answers so to all paths is one for checks alone.
func (c *kase) saysHealth() bool {
	const short = 64
	words := strings.Fields(strings.ToLower(tags.ReplaceAllString(c.content(), " ")))
	if len(words) == 0 {
		size := c.header("Content-Length") // more, where the check does not read it
		return size == "" || size == "0"
	}
	if c.x.BodySize > short {
		return false
	}
	switch strings.Trim(words[0], `"'.,:;{}[]!`) {
	case "ok", "okay", "up", "pong", "healthy", "alive", "live", "ready", "running", "pass", "success", "true", "yes", "1", "200", "status":
		return true
	}
	return false
}

// alike reports whether two answers to different questions are the same page, but for what a page repeats of its request
// and for what is new in each: tokens against forgery, identifiers.
func (c *kase) alike(other *kase) bool {
	if other == nil || c.x.Status != other.x.Status || c.kind() != other.kind() {
		return false
	}
	const slack = 256 // bytes that a page repeats of its request
	if c.x.BodySize == 0 || other.x.BodySize == 0 || !c.isWhole() || !other.isWhole() {
		tag := c.header("ETag") // where content is not read, the name of its version has to do
		return tag != "" && tag == other.header("ETag")
	}
	difference := c.x.BodySize - other.x.BodySize
	return difference <= slack && difference >= -slack && c.plainContent() == other.plainContent()
}

// isWhole reports whether all of the content came, though perhaps not all of it was kept.
func (c *kase) isWhole() bool {
	size := c.header("Content-Length")
	return size == "" || size == strconv.FormatInt(c.x.BodySize, 10)
}

// plainContent is the content without what its request or the moment has put into it.
func (c *kase) plainContent() string {
	text := c.content()
	if len(c.path()) > 1 {
		text = strings.ReplaceAll(text, c.path(), "")
	}
	if c.host() != "" {
		text = strings.ReplaceAll(text, c.host(), "")
	}
	return token.ReplaceAllStringFunc(text, func(s string) string {
		if strings.ContainsAny(s, "0123456789") {
			return "#"
		}
		return s
	})
}

// otherPage reports whether two answers are pages of different sites, by more than small differences of one page.
func (c *kase) otherPage(other *kase) bool {
	mine, theirs := c.title(), other.title()
	switch {
	case c.kind() != other.kind():
		return true
	case mine != "" || theirs != "":
		return mine != theirs
	}
	return !c.alike(other)
}

// kin reports whether two pages may come from one application that shows each Host a brand of its own: half of the words of
// the shorter one, tags among them, are in the other.
func (c *kase) kin(other *kase) bool {
	mine, theirs := c.wordsOfPage(), other.wordsOfPage()
	if len(mine) > len(theirs) {
		mine, theirs = theirs, mine
	}
	common := 0
	for word := range mine {
		if theirs[word] {
			common++
		}
	}
	return 2*common >= len(mine)
}

// wordsOfPage is the set of the words in a content, tags and their attributes included.
func (c *kase) wordsOfPage() map[string]bool {
	words := map[string]bool{}
	for _, w := range strings.FieldsFunc(strings.ToLower(c.plainContent()), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		words[w] = true
	}
	return words
}

// nowhere is the last part of a path that no site has.
const nowhere = "/nonsense-path"

// pathBeside is a question for a path beside the check's own that nobody has. It does not begin as that does: the location
// /health of nginx has everything that begins with /health.
func (c *kase) pathBeside() dialect.Variation {
	folder := c.path()[:max(strings.LastIndexByte(c.path(), '/'), 0)]
	return dialect.Variation{Path: folder + nowhere, Method: c.get()}
}

// get is the method of second questions for a page: "" where it is the check's own.
func (c *kase) get() string {
	if method := string(c.asked.Method); method == "GET" || method == "" {
		return ""
	}
	return "GET"
}

// isRoot reports whether the check asks for a site's front page.
func (c *kase) isRoot() bool {
	switch c.path() {
	case "", "/", "*", "/index.html", "/index.php":
		return true
	}
	return false
}

// stockPage names the software whose page for a fresh installation this is; "" if it is none.
func (c *kase) stockPage() string {
	if !c.isPage() {
		return ""
	}
	title, text := c.title(), c.content()
	for _, p := range stockPages {
		if title == p.title && strings.Contains(text, p.words) {
			return p.software
		}
	}
	if strings.Contains(title, "HTTP Server Test Page powered by") {
		return "Apache"
	}
	if strings.Join(strings.Fields(strings.ToLower(text)), "") == "<html><body><h1>itworks!</h1></body></html>" {
		return "Apache"
	}
	return ""
}

// stockPages are the pages that come with a server. words are further words of the page, where the title is not enough.
var stockPages = [...]struct{ software, title, words string }{
	{"nginx", "Welcome to nginx!", ""},
	{"OpenResty", "Welcome to OpenResty!", ""},
	{"Apache", "Apache2 Debian Default Page: It works", ""},
	{"Apache", "Apache2 Ubuntu Default Page: It works", ""},
	{"Caddy", "Caddy works!", ""},
	{"lighttpd", "Welcome page", "The owner of this web site has not put up any web pages yet"},
	{"Tomcat", "Apache Tomcat", "successfully"},
	{"IIS", "IIS Windows Server", ""},
}

var (
	passwordField = regexp.MustCompile(`(?i)<input\b[^>]*\btype\s*=\s*["']?password\b`)

	// Two words are a login only at the end of a phrase: a catalog in English is none, nor is a log in detail.
	loginTitle = regexp.MustCompile(`(?i)\b(?:log[_-]?in|sign[_-]?in|log[_-]?on|anmelden|anmeldung|connexion)\b|` +
		`\b(?:log|sign) (?:in|on)\s*(?:$|[^\w\s]|\b(?:to|with|or|page|form|here|required)\b)`)
	loginPath = regexp.MustCompile(`(?i)(?:\b|_)(?:login|signin|logon|anmeldung|connexion|(?:log|sign)[_-](?:in|on)(?:$|[/.]))`)
)

// loginPage reports whether the answer is a page whose form asks for a password, and that says so in its title or path.
func (c *kase) loginPage() bool {
	text := c.content()
	return c.isPage() && passwordField.MatchString(text) && (loginTitle.MatchString(c.title()) || loginPath.MatchString(c.path()))
}
