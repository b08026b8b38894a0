package engine

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/leadflow-go/leadflow/lead"
)

// Reading any file ends without a panic, and its contacts can be kept.
func FuzzCSV(f *testing.F) {
	for _, file := range []string{
		"phone_number\n+14155552671\n",
		"\ufeffname, phone_number ,external_id\r\nAda,+14155552671,crm-1\r\n\r\nBob,,\n",
		"phone_number,note\n+14155552671,\"a\nb\"\"c\"\n+1,\"open\n",
		"phone_number,phone_number\n", "\"\n", "", ",\n,\n", "phone_number\n\xff\n", "phone_number,a\n1\n1,2,3\n",
	} {
		f.Add([]byte(file))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		rows, err := newContactRows(bytes.NewReader(file))
		if err != nil {
			return
		}
		n := 0
		for c, err := range rows.all(lead.Contact{}) {
			if n++; n > len(file)+1 {
				t.Fatal("more rows than bytes")
			}
			if err != nil {
				continue
			}
			for name, value := range c.Metadata {
				text, ok := value.(string)
				if !ok || text == "" || !utf8.ValidString(text) || strings.TrimSpace(text) != text || name == "phone_number" {
					t.Fatalf("metadata %q is %q", name, value)
				}
			}
			if !utf8.ValidString(c.PhoneNumber) || !utf8.ValidString(c.ExternalID) {
				t.Fatalf("not UTF-8: %+v", c)
			}
		}
	})
}
