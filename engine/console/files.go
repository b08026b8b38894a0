package console

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"path"
	"strings"
)

//go:embed static/console.css static/console.js static/vendor/idiomorph-0.8.0.min.js
var staticFiles embed.FS

// files are the style and the scripts, by name.
type files map[string]file

type file struct {
	kind    string
	text    []byte
	version string // changes with the text
}

func loadFiles() (files, error) {
	list := files{}
	for name, from := range map[string]string{
		"console.css": "static/console.css", "console.js": "static/console.js", "idiomorph.js": "static/vendor/idiomorph-0.8.0.min.js",
	} {
		text, err := staticFiles.ReadFile(from)
		if err != nil {
			return nil, err
		}
		kind := "text/javascript; charset=utf-8"
		if path.Ext(name) == ".css" {
			kind = "text/css; charset=utf-8"
		}
		hash := sha256.Sum256(text)
		list[name] = file{kind, text, hex.EncodeToString(hash[:8])}
	}
	return list, nil
}

// serve answers with a file. Its address has its version, so a browser need not ask again.
func (f files) serve(w http.ResponseWriter, r *http.Request) {
	file, ok := f[r.PathValue("file")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", file.kind)
	if strings.Contains(r.URL.RawQuery, file.version) {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	_, _ = w.Write(file.text) // a browser that is gone
}

// File returns the address of a style or a script.
func (v *visit) File(name string) string {
	return v.root + "static/" + name + "?" + v.h.files[name].version
}
