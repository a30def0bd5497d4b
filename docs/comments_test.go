package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ofInterfaces are methods whose meaning their interface says.
var ofInterfaces = []string{"Error", "Is", "Read", "String", "Unwrap", "Write", "WriteTo"}

// TestExportedNamesHaveComments: staticcheck looks at the form of comments, and this at whether
// there is one.
func TestExportedNamesHaveComments(t *testing.T) {
	list := exec.Command("git", "ls-files", "*.go")
	list.Dir = root
	files, err := list.Output()
	require.NoError(t, err)
	for file := range strings.Lines(string(files)) {
		file = strings.TrimSpace(file)
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, file), nil, parser.ParseComments)
		require.NoError(t, err)
		for _, d := range f.Decls {
			for _, name := range uncommented(d) {
				assert.Fail(t, "no comment", "%s: %s", file, name)
			}
		}
	}
}

// uncommented returns the exported names of a declaration that has no comment on them.
func uncommented(d ast.Decl) (names []string) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		of := receiver(d)
		if d.Name.IsExported() && d.Doc == nil && (of == "" || ast.IsExported(of) && !slices.Contains(ofInterfaces, d.Name.Name)) {
			names = append(names, d.Name.Name)
		}
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() && d.Doc == nil && s.Doc == nil {
					names = append(names, s.Name.Name)
				}
			case *ast.ValueSpec:
				for _, n := range s.Names {
					if n.IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
						names = append(names, n.Name)
					}
				}
			}
		}
	}
	return names
}

// receiver returns the name of a method's type, empty for a function.
func receiver(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return ""
	}
	of := d.Recv.List[0].Type
	if pointer, ok := of.(*ast.StarExpr); ok {
		of = pointer.X
	}
	if generic, ok := of.(*ast.IndexExpr); ok {
		of = generic.X
	}
	return of.(*ast.Ident).Name
}
