package core

import (
	"encoding/json"
	"reflect"
	"testing"
)

func TestIntegersBeyondAFloatKeepTheirDigits(t *testing.T) {
	for text, want := range map[string]any{
		`1`: 1.0, `-0.5`: -0.5, `1e3`: 1e3, `9007199254740992`: 9007199254740992.0, `-9007199254740992`: -9007199254740992.0,
		`9007199254740993`: json.Number("9007199254740993"), `-9007199254740993`: json.Number("-9007199254740993"),
		`1152921504606846977`: json.Number("1152921504606846977"), `123456789012345678901234567890`: json.Number("123456789012345678901234567890"),
		`0.12345678901234567890`: 0.12345678901234567890, `9007199254740993.5`: 9007199254740993.5, `1234567890123456e-2`: 12345678901234.56,
		`[{"b":9007199254740993},1]`: []any{map[string]any{"b": json.Number("9007199254740993")}, 1.0},
		`"9007199254740993"`:         "9007199254740993",
	} {
		got, err := DecodeObject([]byte(`{"a":` + text + `}`))
		if err != nil || !reflect.DeepEqual(got, map[string]any{"a": want}) {
			t.Errorf("%s: %#v, %v", text, got, err)
		}
	}
}
