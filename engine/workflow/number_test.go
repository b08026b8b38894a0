package workflow

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/leadflow-go/leadflow/lead"
)

// A number keeps its digits on its way through JSON, conditions and expressions.
func TestLargeIntegersAreExact(t *testing.T) {
	v, err := decodeValue([]byte(`{
		"crm": 1152921504606846977, "text": "1152921504606846977", "written": 1152921504606846977.0, "scaled": 1152921504606846977e0, "negative": -1152921504606846977,
		"max": 9223372036854775807, "over": 9223372036854775808, "min": -9223372036854775808, "huge": 100000000000000000000000000001, "googol": 1e100,
		"list": [1152921504606846977, 2], "object": {"id": 1152921504606846977}, "small": 42, "fraction": 0.1, "float": 42.0
	}`))
	if err != nil {
		t.Fatal(err)
	}
	metadata := v.(map[string]any)
	metadata["uint"] = uint64(math.MaxUint64)
	env := &Env{Contact: lead.Contact{Metadata: metadata}, Steps: map[string]StepResult{"first": {Data: metadata}}, Now: testNow}
	for _, tt := range []struct {
		field    string
		operator Operator
		value    string
		want     bool
	}{
		{"crm", Equals, `1152921504606846977`, true},
		{"crm", Equals, `1152921504606846976`, false},
		{"crm", Equals, `1152921504606847000`, false},
		{"crm", NotEquals, `1152921504606847000`, true},
		{"crm", NotEquals, `1152921504606846977`, false},
		{"crm", Equals, `"1152921504606846977"`, true},
		{"crm", Equals, `"1152921504606846976"`, false},
		{"crm", Equals, `1152921504606846977.0`, true},
		{"crm", Equals, `11529215046068469770e-1`, true},
		{"crm", GreaterThan, `1152921504606846976`, true},
		{"crm", GreaterThan, `1152921504606846977`, false},
		{"crm", LessThan, `1152921504606846978`, true},
		{"crm", LessThan, `1152921504606846977`, false},
		{"text", Equals, `1152921504606846977`, true},
		{"text", Equals, `1152921504606846976`, false},
		{"written", Equals, `1152921504606846977`, true},
		{"written", Equals, `1152921504606846976`, false},
		{"scaled", Equals, `1152921504606846977`, true},
		{"negative", LessThan, `-1152921504606846976`, true},
		{"negative", GreaterThan, `-1152921504606846978`, true},
		{"negative", Equals, `-1152921504606846977`, true},
		{"max", Equals, `9223372036854775807`, true},
		{"max", LessThan, `9223372036854775808`, true},
		{"over", GreaterThan, `9223372036854775807`, true},
		{"over", Equals, `9223372036854775808`, true},
		{"over", Equals, `9223372036854775809`, false},
		{"min", Equals, `-9223372036854775808`, true},
		{"min", GreaterThan, `-9223372036854775809`, true},
		{"huge", Equals, `100000000000000000000000000001`, true},
		{"huge", Equals, `100000000000000000000000000000`, false},
		{"huge", Equals, `1e29`, false},
		{"huge", GreaterThan, `1e29`, true},
		{"huge", LessThan, `1e30`, true},
		{"googol", Equals, `"` + "1" + strings.Repeat("0", 100) + `"`, true},
		{"googol", GreaterThan, `-1e100`, true},
		{"uint", Equals, `18446744073709551615`, true},
		{"uint", Equals, `18446744073709551614`, false},
		{"list", Contains, `1152921504606846977`, true},
		{"list", Contains, `1152921504606846976`, false},
		{"list", Equals, `[1152921504606846977, 2.0]`, true},
		{"list", Equals, `[1152921504606846976, 2]`, false},
		{"object", Equals, `{"id": 1152921504606846977}`, true},
		{"object", Equals, `{"id": 1152921504606846976}`, false},
		{"fraction", Equals, `0.1`, true},
		{"fraction", Equals, `1e-1`, true},
		{"float", Equals, `42`, true},
	} {
		for _, root := range []string{"metadata.", "steps.first.data."} {
			node := Node{Type: Conditional}
			config(&node, fmt.Sprintf(`{"conditions":[{"field":%q,"operator":%q,"value":%s}]}`, root+tt.field, tt.operator, tt.value))
			if got, err := branch(t, node).Test(branchNode, env); got != tt.want || err != nil {
				t.Errorf("%s%s %s %s: %v, %v", root, tt.field, tt.operator, tt.value, got, err)
			}
		}
	}

	for source, want := range map[string]bool{
		`metadata.crm == 1152921504606846977`:                                            true,
		`metadata.crm == 1152921504606846976`:                                            false,
		`metadata.crm == 1152921504606847000`:                                            false,
		`metadata.crm > 1152921504606846976 and metadata.crm < 1152921504606846978`:      true,
		`metadata.crm >= 1152921504606846978`:                                            false,
		`metadata.crm == metadata.written and metadata.crm == steps.first.data.scaled`:   true,
		`string(metadata.crm) == metadata.text and int(metadata.text) == metadata.crm`:   true,
		`metadata.crm + 1 == 1152921504606846978 and metadata.crm % 10 == 7`:             true,
		`metadata.crm - metadata.crm == 0`:                                               true,
		`metadata.crm in [1152921504606846976] or "id" not in metadata.object`:           false,
		`metadata.crm in metadata.list and 1152921504606846976 not in metadata.list`:     true,
		`metadata.object == {"id": 1152921504606846977}`:                                 true,
		`metadata.object == {"id": 1152921504606846976}`:                                 false,
		`metadata.list == [1152921504606846977, 2]`:                                      true,
		`metadata.max < metadata.over and metadata.over == metadata.over`:                true,
		`metadata.over > 9223372036854775807 and metadata.min == -9223372036854775807-1`: true,
		`string(metadata.huge) == "100000000000000000000000000001"`:                      true,
		`metadata.huge > metadata.over and -metadata.huge < 0`:                           true,
		`metadata.uint > metadata.over and metadata.uint != 18446744073709551615.0 + 1`:  false, // a float64 has no more digits
		`any(metadata.list, # == 1152921504606846977)`:                                   true,
		`max(metadata.list) == 1152921504606846977 and min(metadata.list) == 2`:          true,
		`sum(metadata.list) == 1152921504606846979`:                                      true,
		`type(metadata.crm) == "int" and type(metadata.huge) == "int"`:                   true,
		`type(metadata.fraction) == "float" and type(metadata.float) == "int"`:           true,
		`fromJSON("{\"id\": 1152921504606846977}").id == 1152921504606846977`:            true,
		`int(metadata.small) in 18..65 and metadata.small / 4 == 10.5`:                   true,
		`metadata.list[1] * 1.5 == 3`:                                                    true,
	} {
		if got, err := branch(t, If("", source)).Test(branchNode, env); got != want || err != nil {
			t.Errorf("%s: %v, %v; want %v", source, got, err, want)
		}
	}
}

// A number that is out of range makes a condition false and an expression
// an error: no panic, and no match with another such number.
func TestNumbersOutOfRange(t *testing.T) {
	long := strings.Repeat("1", 500)
	v, err := decodeValue([]byte(`{"amount": 1e400, "other": 1e401, "tiny": 1e-400, "zero": 0, "long": ` + long + `, "list": [1e400], "text": "1e400", "object": {"a": 1e400}, "nan": null}`))
	if err != nil {
		t.Fatal(err)
	}
	metadata := v.(map[string]any)
	metadata["nan"], metadata["inf"] = math.NaN(), math.Inf(1)
	env := &Env{Contact: lead.Contact{Metadata: metadata}, Now: testNow}
	for _, field := range []string{"amount", "tiny", "long", "text", "nan", "inf"} {
		for _, o := range []Operator{Equals, NotEquals, GreaterThan, LessThan} {
			for _, value := range []string{"0", "5", "-5", `"5"`, "1e308"} {
				node := Node{Type: Conditional}
				config(&node, fmt.Sprintf(`{"conditions":[{"field":"metadata.%s","operator":%q,"value":%s}]}`, field, o, value))
				if got, err := branch(t, node).Test(branchNode, env); got && !(field == "text" && o == NotEquals) || err != nil {
					t.Errorf("%s %s %s: %v, %v", field, o, value, got, err)
				}
			}
		}
		for _, source := range []string{"metadata.F == 5", "metadata.F == metadata.F", "metadata.F != 5", "metadata.F > 5", "metadata.F < 5", "metadata.F + 1 > 0", "-metadata.F < 0", "metadata.F in [1]", "int(metadata.F) == 1", "float(metadata.F) == 1", "abs(metadata.F) > 0", "max(metadata.F, 1) == 1"} {
			source = strings.ReplaceAll(source, "F", field)
			got, err := branch(t, If("", source)).Test(branchNode, env)
			if field == "text" {
				if got && !strings.Contains(source, "!=") && !strings.Contains(source, "metadata.text == metadata.text") {
					t.Errorf("%s: %v, %v", source, got, err)
				}
				continue // a string, which can be compared with strings
			}
			if got || err == nil || !strings.Contains(err.Error(), "number out of range") {
				t.Errorf("%s: %v, %v", source, got, err)
			}
		}
	}
	for _, source := range []string{"metadata.list == metadata.list", "any(metadata.list, # > 1)", "metadata.object == metadata.object", "1 in metadata.list", "sum(metadata.list) > 1"} {
		if got, err := branch(t, If("", source)).Test(branchNode, env); got || err == nil {
			t.Errorf("%s: %v, %v", source, got, err)
		}
	}
	if got := faultsOf(t, (&Definition{Name: "x", Entry: "a", Nodes: []Node{
		{ID: "a", Type: Conditional, Config: []byte(`{"conditions":[{"field":"metadata.a","operator":"equals","value":1e400}]}`)}, End("b", Dropped),
	}, Edges: []Edge{On("a", "true", "b")}}).Validate()); len(got) != 1 || !strings.HasPrefix(got[0], "nodes[0].config.conditions[0].value: number out of range: 1e400") {
		t.Errorf("faults: %q", got)
	}
}
