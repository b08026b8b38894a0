package workflow

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/leadflow-go/leadflow/engine/workflow/internal/expression"
)

var (
	randomN    = flag.Int("budget.n", 400, "how many random expressions are tried")
	randomSeed = flag.Uint64("budget.seed", 0, "the seed of the random expressions; 0 takes a new one")
)

// generator writes expressions that mean something, on metadata of every kind.
type generator struct {
	*rand.Rand
	loops int
}

func (g *generator) pick(from ...string) string { return from[g.IntN(len(from))] }

// fill replaces $S, $N, $L, $O, $B, $T, $D and $V in a template by an expression for
// a string, a number, an array, an object, a boolean, a time, a duration, and any of
// them.
func (g *generator) fill(template string, depth int) string {
	var b strings.Builder
	for i := 0; i < len(template); i++ {
		if template[i] != '$' || !strings.Contains("SNLOBTDV", template[i+1:i+2]) {
			b.WriteByte(template[i])
			continue
		}
		i++
		b.WriteString(g.expression(template[i], depth-1))
	}
	return b.String()
}

var templates = map[byte][]string{
	'S': {
		`($S + $S)`, `upper($S)`, `lower($S)`, `trim($S)`, `trim($S, $S)`, `trimPrefix($S, $S)`, `string($N)`, `$T.Format($S)`, `$S[$N:$N]`, `fromBase64($S)`, `($B ? $S : $S)`,
		`type($V)`, `$D.String()`, `$T.Weekday().String()`, `($V ?? $S)`, `split($S, $S)[$N]`, `first(keys($O))`, `string($T)`, `last($L)`, `$T.String()`, `get($O, $S)`,
	},
	'N': {
		`($N + $N)`, `($N - $N)`, `($N * $N)`, `($N / $N)`, `($N % $N)`, `($N ** $N)`, `-$N`, `len($V)`, `len($S)`, `len($L)`, `abs($N)`, `round($N)`, `int($V)`, `float($S)`, `max($N, $L)`, `min($L)`, `mean($L)`,
		`median($L)`, `sum($L)`, `count($L, $B)`, `indexOf($S, $S)`, `lastIndexOf($S, $S)`, `findIndex($L, $B)`, `$T.Hour()`, `$T.Unix()`, `$D.Hours()`, `($V ?? $N)`, `sum($L, $N)`, `int($T.Weekday())`,
	},
	'L': {
		`filter($L, $B)`, `split($S, $S)`, `split($S, "")`, `keys($O)`, `values($O)`, `take($L, $N)`, `$L[$N:$N]`, `[$V, $V, $V]`, `($N..$N)`, `(1..$N)`, `($V ?? $L)`, `fromJSON($S)`, `[$L, $L]`, `get($O, $S)`,
	},
	'O': {`{"a": $V, "b": $V}`, `{($S): $V}`, `fromJSON($S)`, `find($L, $B)`, `$L[$N]`, `($B ? $O : $O)`},
	'B': {
		`($V == $V)`, `($V != $V)`, `($N < $N)`, `($S >= $S)`, `($B and $B)`, `($B or $B)`, `not $B`, `($V in $L)`, `($S not in $O)`, `($S contains $S)`, `($S startsWith $S)`, `($S matches $S)`,
		`($S matches "(a|b)*c")`, `($S matches "^(\\w+\\s?)*$")`, `($S matches "(?i)[a-z0-9._-]{1,60}@x")`, `all($L, $B)`, `any($L, $B)`, `none($L, $B)`, `one($L, $B)`, `$T.Before($T)`, `hasSuffix($S, $S)`, `($T > $T)`,
		`($L == $L)`, `($O == $O)`, `($N in $N..$N)`, `(let x = $V; $B and x == $V)`, `(1 < $N < 3)`,
	},
	'T': {`now()`, `date($S)`, `date($S, $S)`, `date($S, $S, $S)`, `$T.Add($D)`, `$T.In(timezone($S))`, `$T.AddDate($N, $N, $N)`, `($T + $D)`, `($V ?? $T)`, `$T.Truncate($D)`, `steps.first.exited_at`},
	'D': {`duration($S)`, `($T - $T)`, `($D * $N)`, `($D + $D)`, `$T.Sub($T)`, `duration("90m")`},
}

var leaves = map[byte][]string{
	'S': {`metadata.text`, `metadata.long`, `metadata.json`, `metadata.accents`, `lead.time_zone`, `"a"`, `""`, `"2006-01-02"`, `"Europe/Berlin"`, `steps.first.outcome`, `metadata.digits`},
	'N': {`1`, `0`, `-3`, `20000`, `2.5`, `metadata.n`, `metadata.big`, `steps.first.attempts`, `9223372036854775807`},
	'L': {`metadata.numbers`, `metadata.strings`, `metadata.objects`, `metadata.lists`, `metadata.longs`, `metadata.deep`, `[1, 2]`, `[]`},
	'O': {`metadata`, `metadata.object`, `steps`, `steps.first.data`, `metadata.objects[0]`, `lead`, `{}`},
	'B': {`true`, `false`, `metadata.flag`},
	'T': {`now()`, `steps.first.entered_at`},
	'D': {`duration("1h")`},
}

func (g *generator) expression(kind byte, depth int) string {
	if kind == 'V' {
		kind = "SNLOBTD"[g.IntN(7)]
	}
	if g.loops > 0 && g.IntN(3) == 0 {
		return g.pick("#", "#", "#.a", "#[0]")
	}
	if depth <= 0 || g.IntN(5) == 0 {
		return g.pick(leaves[kind]...)
	}
	template := g.pick(templates[kind]...)
	if head, body, ok := strings.Cut(template, "$L, $"); ok && strings.HasSuffix(head, "(") && !strings.HasPrefix(template, "median") {
		// The list is outside the loop, what follows inside.
		start := g.fill(head+"$L, ", depth)
		g.loops++
		defer func() { g.loops-- }()
		return start + g.fill("$"+body, depth)
	}
	return g.fill(template, depth)
}

// randomEnv has metadata of each kind, some of it as large as allowed.
func randomEnv() *Env {
	repeat := func(element string, bytes int) string {
		return "[" + strings.TrimSuffix(strings.Repeat(element+",", bytes/(len(element)+1)), ",") + "]"
	}
	const part = maxMetadata / 12
	var object strings.Builder
	for i := range part / 20 {
		fmt.Fprintf(&object, `"key%d":%d,`, i, i)
	}
	return budgetEnv(`{"text":"The quick brown fox","n":42,"big":1152921504606846977,"flag":true,"digits":"`+strings.Repeat("7", 300)+`",
		"long":"`+strings.Repeat("a", 3*part)+`","accents":"`+strings.Repeat("ä", part/2)+`","json":"`+strings.Repeat("[", 20)+strings.Repeat("[],", part/4)+`1`+strings.Repeat("]", 20)+`",
		"numbers":`+repeat("1.5", part)+`,"strings":`+repeat(`"a"`, part)+`,"objects":`+repeat(`{"a":1,"b":[2]}`, part)+`,"lists":`+repeat(`[1,2,3]`, part)+`,
		"longs":`+repeat(`"`+strings.Repeat("ab", 500)+`"`, part)+`,"deep":`+nested("[", "1", "]", 2000)+`,"object":{`+strings.TrimSuffix(object.String(), ",")+`}}`, false)
}

// Random expressions of every function and operator, in one another, on metadata
// as large as allowed: none takes more than is allowed, and what is evaluated
// again takes the same way.
func TestRandomExpressionsAreWithinTheBudget(t *testing.T) {
	seed := *randomSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 0))}
	env := randomEnv()
	if env == nil {
		t.Fatal("metadata is not JSON, or larger than metadata can be")
	}
	var refused, exceeded, failed, done int
	for i := range *randomN {
		source := g.expression('B', 2+g.IntN(6))
		p, _ := expression.Compile(source, expression.Bool, func(id string) bool { return id == "first" })
		if p == nil {
			refused++
			continue
		}
		checkBudget(t, source, env)
		first, firstErr := evaluate(p, env)
		again, err := evaluate(p, env)
		if first != again || fmt.Sprint(firstErr) != fmt.Sprint(err) {
			t.Errorf("%v, %v; and again: %v, %v: %s", first, firstErr, again, err, source)
		}
		switch {
		case errors.Is(err, ErrBudget):
			exceeded++
		case err != nil:
			failed++
		default:
			done++
		}
		if t.Failed() {
			t.Fatalf("expression %d: %s\nagain with -budget.seed %d", i, source, seed)
		}
	}
	t.Logf("seed %d: %d expressions were refused; of the others %d exceeded the budget, %d failed, %d were evaluated", seed, refused, exceeded, failed, done)
}
