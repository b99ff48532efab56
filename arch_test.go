package triage_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/triage-lb/triage"

// allowedImports is the table of ARCHITECTURE.md: which of our packages each of our packages may import.
// "." is the root. Tests may import more. cmd and e2e wire everything, so they are free.
var allowedImports = map[string][]string{
	".":                   {},
	"behind":              {},
	"behind/aws":          {"behind"},
	"internal/api":        {".", "internal/control"},
	"internal/attempt":    {".", "internal/balance"},
	"internal/balance":    {".", "internal/keyed"},
	"internal/capture":    {".", "internal/http1", "internal/dialect", "internal/probe", "internal/diagnose"},
	"internal/control":    {".", "internal/dialect", "internal/diagnose", "internal/expression", "internal/keyed"},
	"internal/diagnose":   {".", "internal/http1", "internal/dialect"},
	"internal/dialect":    {".", "internal/http1"},
	"internal/engine":     {".", "internal/dialect", "internal/probe", "internal/loop", "internal/keyed"},
	"internal/expression": {"."},
	"internal/h2":         {"internal/http1"},
	"internal/keyed":      {"."},
	"internal/metrics":    {"."},
	"internal/guard":      {"behind", "behind/aws", ".", "internal/balance", "internal/attempt", "internal/proxy", "internal/probe"},
	"internal/http1":      {},
	"internal/loop":       {},
	"internal/probe":      {".", "internal/http1", "internal/h2", "internal/dialect", "internal/expression"},
	"internal/proxy":      {".", "internal/balance", "internal/attempt", "internal/http1"},
	"internal/resolve":    {"."},
	"internal/simulate":   {"."},
	"bench/check":         {},
	"cmd/triage":          {"*"},
	"e2e":                 {"*"},
}

// TestImports holds the code to the table. It parses the files itself: a test that ran "go list" would stay
// cached as passed after somebody broke a rule.
func TestImports(t *testing.T) {
	for dir, files := range sources(t) {
		allowed, known := allowedImports[dir]
		if !known {
			t.Errorf("package %s has no row in allowedImports: say in ARCHITECTURE.md what it is for", dir)
			continue
		}
		for _, f := range files {
			if strings.HasSuffix(f.name, "_test.go") || slices.Contains(allowed, "*") {
				continue
			}
			for _, spec := range f.ast.Imports {
				path, err := strconv.Unquote(spec.Path.Value)
				if err != nil {
					t.Fatal(err)
				}
				ours, isOurs := strings.CutPrefix(path+"/", module+"/")
				if !isOurs {
					continue
				}
				ours = strings.TrimSuffix(ours, "/")
				if ours == "" {
					ours = "."
				}
				if !slices.Contains(allowed, ours) {
					t.Errorf("%s imports %s, which the architecture does not allow for %s", f.name, path, dir)
				}
			}
		}
	}
}

// TestPackageComments holds each package to exactly one package comment.
func TestPackageComments(t *testing.T) {
	for dir, files := range sources(t) {
		var documented []string
		tests := 0
		for _, f := range files {
			if strings.HasSuffix(f.name, "_test.go") {
				tests++
			} else if f.ast.Doc != nil {
				documented = append(documented, f.name)
			}
		}
		if tests < len(files) && len(documented) != 1 {
			t.Errorf("package %s has %d package comments, not one: %v", dir, len(documented), documented)
		}
	}
}

type source struct {
	name string
	ast  *ast.File
}

// sources parses the head of every Go file of the repository, by folder.
func sources(t *testing.T) map[string][]source {
	t.Helper()
	found := map[string][]source{}
	fset := token.NewFileSet()
	err := fs.WalkDir(os.DirFS("."), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && path != "." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "dist") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		file, err := parser.ParseFile(fset, path, nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(filepath.Dir(path))
		found[dir] = append(found[dir], source{path, file})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
