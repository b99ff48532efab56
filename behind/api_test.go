package behind_test

import (
	"flag"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write api.txt anew")

// TestAPI keeps the exported declarations equal to api.txt, so that no change
// of what others build on goes unseen. Run with -update after an intended one.
func TestAPI(t *testing.T) {
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var declarations []string
	for _, name := range names {
		if !strings.HasSuffix(name, "_test.go") {
			declarations = append(declarations, exported(t, name)...)
		}
	}
	slices.Sort(declarations)
	got := strings.Join(declarations, "\n")
	if *update {
		if err := os.WriteFile("api.txt", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("api.txt")
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the exported API is no longer that of api.txt (go test -run TestAPI -update):\n%s", got)
	}
}

// exported prints the exported declarations of a file, without comments and
// bodies.
func exported(t *testing.T, name string) []string {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.FileExports(file)
	var declarations []string
	for _, declaration := range file.Decls {
		switch declaration := declaration.(type) {
		case *ast.FuncDecl:
			if declaration.Recv != nil && !ast.IsExported(receiver(declaration)) {
				continue
			}
			declaration.Body = nil
		case *ast.GenDecl:
			if declaration.Tok == token.IMPORT {
				continue
			}
		}
		var text strings.Builder
		if err := format.Node(&text, files, declaration); err != nil {
			t.Fatal(err)
		}
		declarations = append(declarations, text.String()+"\n")
	}
	return declarations
}

// receiver is the name of the type that a method belongs to.
func receiver(method *ast.FuncDecl) string {
	typ := method.Recv.List[0].Type
	if pointer, ok := typ.(*ast.StarExpr); ok {
		typ = pointer.X
	}
	return typ.(*ast.Ident).Name
}
