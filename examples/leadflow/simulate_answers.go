package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"github.com/leadflow-go/leadflow/engine/enginetest"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// answers is how the people of a simulation answer: the contents of the --answers file.
type answers struct {
	// Nodes has the answers to the attempts at each action node.
	Nodes map[string]nodeAnswers `json:"nodes"`
	// RemoveOn are outcomes after which the lead is removed.
	RemoveOn []string `json:"remove_on"`
	// Metadata are the values that a lead may have, each as likely as the next;
	// null is none.
	Metadata map[string][]any `json:"metadata"`
}

// nodeAnswers has the answers to the attempts at a node.
type nodeAnswers struct {
	// Outcomes are weighted against one another.
	Outcomes map[string]float64 `json:"outcomes"`
	// Fails is the percentage of attempts that fail, and are retried by the node's retry
	// policy.
	Fails float64 `json:"fails"`
	// Lost is the percentage of outcomes that never come.
	Lost float64 `json:"lost"`
	// Lasts is the shortest and the longest time until the outcome comes.
	Lasts [2]workflow.Duration `json:"lasts"`
	// Data are the values that the step's data may have, each as likely as the
	// next; null is none.
	Data map[string][]any `json:"data"`
}

// defaultAnswers makes answers up from the outcomes that a node's edges name, and
// from what conditions ask for: each of the values that they compare with, and
// none.
func defaultAnswers(def *workflow.Definition) *answers {
	a := &answers{Nodes: map[string]nodeAnswers{}, RemoveOn: []string{}, Metadata: map[string][]any{}}
	asked := readByName(def)
	for _, n := range def.Nodes {
		if !n.Type.Action() {
			continue
		}
		good, bad := n.Type.SuccessOutcome(), n.Type.FailureOutcome()
		way := nodeAnswers{
			Outcomes: map[string]float64{}, Fails: 2, Lasts: [2]workflow.Duration{0, workflow.Duration(2 * time.Second)},
			Data: map[string][]any{},
		}
		if n.Type == workflow.VoiceCall {
			way.Fails, way.Lasts = 10, [2]workflow.Duration{workflow.Duration(20 * time.Second), workflow.Duration(4 * time.Minute)}
		}
		var others []string
		for _, e := range def.Edges {
			switch {
			case e.From != n.ID || e.Label == bad: // failed attempts come to that
			case e.Label == good:
				way.Outcomes[good] = 50
			case e.Label == workflow.DefaultLabel && n.Type == workflow.VoiceCall:
				others = append(others, "no_answer")
			case e.Label != workflow.DefaultLabel:
				others = append(others, e.Label)
			}
		}
		more := slices.ContainsFunc(def.Edges, func(e workflow.Edge) bool { return e.From == n.ID && e.Label == workflow.DefaultLabel })
		for _, r := range asked {
			if r.path[0] != "steps" || r.path[1] != n.ID {
				continue
			}
			if r.path[2] == "data" {
				way.Data[r.path[3]] = append(r.values, nil)
			}
			for _, v := range r.values {
				o, _ := v.(string)
				if r.path[2] != "outcome" || !more || o == "" || o == bad || o == good || slices.Contains(others, o) {
					continue
				}
				if len(others) == 0 {
					way.Outcomes[good] = 50 // not all are what the condition asks for
				}
				others = append(others, o)
			}
		}
		for _, o := range others {
			way.Outcomes[o] = 50 / float64(len(others))
		}
		if len(way.Outcomes) == 0 {
			way.Outcomes[good] = 100
		}
		a.Nodes[n.ID] = way
	}
	for _, r := range asked {
		if r.path[0] == "metadata" {
			a.Metadata[r.path[1]] = append(r.values, nil)
		}
	}
	return a
}

// readAnswers returns the answers of a file; what the file leaves out is made up. The
// error names every fault.
func readAnswers(def *workflow.Definition, path string) (*answers, error) {
	a := defaultAnswers(def)
	if path == "" {
		return a, nil
	}
	text, err := readNamed("-answers", path)
	if err != nil {
		return nil, err
	}
	r := &answersReader{outcomes: map[string][]located{}}
	root, broken := locate(text)
	if broken != nil {
		r.faults = append(r.faults, *broken)
	} else {
		known := knownOutcomes(def, a)
		r.file(root, a)
		r.checkOutcomes(known, a)
	}
	if r.faults != nil {
		return nil, faults(path, &lead.InvalidError{Subject: "file of answers", Faults: r.faults})
	}
	return a, nil
}

// readNamed reads the file that a flag names.
func readNamed(flag, path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s %s: there is no such file; see leadflow help simulate", flag, path)
	}
	return text, err
}

func (a *answers) print(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(a)
}

func (a *answers) removes(outcome string) bool { return slices.Contains(a.RemoveOn, outcome) }

// script is the answers as the engine's people give them.
func (a *answers) script(def *workflow.Definition) enginetest.Script {
	script := enginetest.Script{}
	for _, n := range def.Nodes {
		if way, ok := a.Nodes[n.ID]; ok {
			script[n.ID] = way.answer(n.Type)
		}
	}
	return script
}

func (n *nodeAnswers) answer(t workflow.NodeType) enginetest.Answer {
	var choices []enginetest.Choice
	for _, o := range slices.Sorted(maps.Keys(n.Outcomes)) {
		choices = append(choices, enginetest.Weighted(n.Outcomes[o], enginetest.Outcome(o)))
	}
	least, most := time.Duration(n.Lasts[0]), time.Duration(n.Lasts[1])
	answer := n.withData(enginetest.OneOf(choices...))
	if t == workflow.VoiceCall {
		answer = answer.AfterBetween(least, most) // a live call, and a callback
	} else {
		answer = answer.TakingBetween(least, most)
	}
	return enginetest.OneOf(
		enginetest.Weighted(n.Fails, enginetest.Fail("the attempt failed")),
		enginetest.Weighted((100-n.Fails)*n.Lost/100, enginetest.NeverCalls()),
		enginetest.Weighted((100-n.Fails)*(100-n.Lost)/100, answer))
}

func (n *nodeAnswers) withData(answer enginetest.Answer) enginetest.Answer {
	if len(n.Data) == 0 {
		return answer
	}
	keys := slices.Sorted(maps.Keys(n.Data))
	return func(a *enginetest.Attempt) enginetest.Reply {
		r := answer(a)
		data := make(map[string]any, len(keys))
		r.Data = data
		for _, key := range keys {
			values := n.Data[key]
			data[key] = values[int(a.Chance("data."+key)*float64(len(values)))]
		}
		return r
	}
}

// people are the made-up people with the numbers from first up to, but not including,
// the end. Their metadata depends only on the seed and the number.
func (a *answers) people(seed uint64, from, to int, zone func(number int) string) iter.Seq2[lead.Contact, error] {
	keys := slices.Sorted(maps.Keys(a.Metadata))
	return func(yield func(lead.Contact, error) bool) {
		for number := from; number < to; number++ {
			c := enginetest.Contact(number)
			c.TimeZone = zone(number)
			if len(keys) > 0 {
				draw := rand.New(rand.NewPCG(seed, uint64(number)))
				c.Metadata = make(map[string]any, len(keys))
				for _, key := range keys {
					values := a.Metadata[key]
					c.Metadata[key] = values[draw.IntN(len(values))]
				}
			}
			if !yield(c, nil) {
				return
			}
		}
	}
}
