//go:build linux

package engine_test

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/postgres"
	"github.com/leadflow-go/leadflow/store/postgres/pgtest"
)

// mortalEnv names the schema of an engine that is a process of its own, to be killed.
const mortalEnv = "LEADFLOW_BENCH_MORTAL"

func init() {
	schema := os.Getenv(mortalEnv)
	if schema == "" {
		return
	}
	if err := beMortal(schema); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// beMortal runs an engine until it is killed, or nobody has its standard input open.
func beMortal(schema string) error {
	st, err := postgres.Open(background, pgtest.URL(), postgres.Options{Schema: schema})
	if err != nil {
		return err
	}
	eng, err := engine.New(st, engine.Config{
		Handlers: map[string]engine.Handler{"application": noop}, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err == nil {
		err = eng.Start(background)
	}
	if err == nil {
		_, err = io.Copy(io.Discard, os.Stdin)
	}
	return err
}

// begun counts leads whose first step was begun.
type begun struct {
	n           int
	first, last time.Time
}

func (c *begun) add(at time.Time) {
	if c.n++; c.n == 1 {
		c.first = at
	}
	c.last = at
}

func (c *begun) rate() float64 { return float64(c.n-1) / c.last.Sub(c.first).Seconds() }

// BenchmarkPostgresTakeover kills an engine that has half of 200,000 leads, all of them due,
// and has the other engine begin a step of each: of its own ones, and of those that it
// takes over when the lease has run out. It reports the last run.
func BenchmarkPostgresTakeover(b *testing.B) {
	needPostgres(b)
	const leads = 200_000
	var own, taken begun
	var first time.Duration
	for b.Loop() {
		schema := pgtest.Schema(b)
		r := openPostgres(b, schema, 1, noop)
		mortal := exec.Command(os.Args[0])
		mortal.Env, mortal.Stderr = append(os.Environ(), mortalEnv+"="+schema), os.Stderr
		in, err := mortal.StdinPipe()
		if err == nil {
			err = mortal.Start()
		}
		if err != nil {
			b.Fatal(err)
		}
		theirs := map[int16]bool{}
		for len(theirs) == 0 {
			list, err := r.stores[0].Engines(background)
			if err != nil {
				b.Fatal(err)
			}
			if len(list) == 2 && len(list[1].Shards) == store.Shards/2 {
				for _, shard := range list[1].Shards {
					theirs[shard] = true
				}
			}
			time.Sleep(10 * time.Millisecond)
		}
		wf := r.create(b, inSteps(1))
		r.enroll(b, wf, people(0, leads), leads)

		var mu sync.Mutex
		own, taken = begun{}, begun{}
		all := make(chan struct{})
		count := func(batch *store.Batch) {
			now := time.Now()
			mu.Lock()
			defer mu.Unlock()
			for i := range batch.Changes {
				if batch.Changes[i].Before.Visits > 1 || batch.Changes[i].After.Phase != store.PhaseRunning {
					continue
				}
				if theirs[batch.Changes[i].After.Shard] {
					taken.add(now)
				} else {
					own.add(now)
				}
				if own.n+taken.n == leads {
					close(all)
				}
			}
		}
		r.stores[0].committed.Store(&count)
		if err := mortal.Process.Kill(); err != nil {
			b.Fatal(err)
		}
		killed := time.Now()
		_ = mortal.Wait()
		in.Close()
		r.activate(b, wf) // returns when the other engine's lease has run out
		<-all
		first = taken.first.Sub(killed)
		r.close(b)
	}
	b.ReportMetric(own.rate(), "own-leads/s")
	b.ReportMetric(taken.rate(), "taken-over-leads/s")
	b.ReportMetric(taken.rate()/own.rate(), "taken-over-of-own")
	b.ReportMetric(first.Seconds(), "s-until-first-begun")
}
