package control

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/triage-lb/triage"
)

// pems is the files of certificates and keys that a config names. Each is read once for a config, however many groups
// name it: what they hold is then part of the config, and a file that has changed is a changed config.
type pems struct {
	folder string // where relative names begin: that of the config file
	known  map[string]triage.PEM
}

// maxPEM bounds a file of certificates. The system's whole list of roots has a quarter of it.
const maxPEM = 1 << 20

// pemsOf returns the files that a config has read already. An edit goes on with them: it changes what it names, and not
// what else has become different on the disk. That is what a reload is for.
func pemsOf(folder string, config triage.Config) *pems {
	p := &pems{folder: folder, known: map[string]triage.PEM{}}
	for _, g := range config.Groups {
		for _, file := range []triage.PEM{g.HealthCheck.TLS.CA, g.HealthCheck.TLS.Certificate, g.HealthCheck.TLS.Key} {
			if file.File != "" {
				p.known[file.File] = file
			}
		}
	}
	return p
}

// pem reads the file that a key names. An empty name is no file: so an edit takes the setting away.
func (r *reader) pem(n *node, path string, to *triage.PEM) {
	name, ok := r.text(n, path)
	if !ok {
		return
	}
	if name == "" {
		*to = triage.PEM{}
		return
	}
	file, err := r.pems.read(name)
	if err != nil {
		r.errorf(n, triage.HintOf(err), "%s: %s", path, err)
		file = triage.NewPEM(name, nil) // so that its place is not missed, too
	}
	*to = file
}

func (p *pems) read(name string) (triage.PEM, error) {
	if file, ok := p.known[name]; ok {
		return file, nil
	}
	at := name
	if !filepath.IsAbs(at) {
		at = filepath.Join(p.folder, at)
	}
	text, err := readPEM(at)
	if err != nil {
		return triage.PEM{}, err
	}
	p.known[name] = triage.NewPEM(name, text)
	return p.known[name], nil
}

// readPEM reads a file, which may be anything that somebody has named.
func readPEM(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe would block for as long as nobody writes to it
	if err != nil {
		return nil, noPEM(path, bare(err).Error(), "is the path right? It begins at the config file's folder unless it begins with a slash; and the user that runs triage must be able to read it")
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, noPEM(path, "it is no regular file", "name a file in PEM")
	}
	text, err := io.ReadAll(io.LimitReader(f, maxPEM+1))
	if err != nil {
		return nil, noPEM(path, bare(err).Error(), "")
	}
	if len(text) > maxPEM {
		return nil, noPEM(path, fmt.Sprintf("it is larger than %d bytes", maxPEM), "is it a file of certificates or a key?")
	}
	return text, nil
}

func noPEM(path, why, hint string) error {
	return &triage.Error{Kind: triage.KindInvalid, Message: fmt.Sprintf("read %s: %s", path, why), Hint: hint}
}
