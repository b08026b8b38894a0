//go:build !race

package engine

import (
	"context"
	"errors"
	"slices"

	"github.com/leadflow-go/leadflow/store"
)

// searchGate is the store as the engine has it; the process can end at a commit.
type searchGate struct {
	store.Store
	world     *searchWorld
	commits   int
	dieAfter  int
	dieBefore bool
	dead      bool
	keep      bool // the batches of the root
	kept      []store.Batch
}

var errSearchDead = errors.New("the process is dead")

func (g *searchGate) Commit(ctx context.Context, b *store.Batch) (store.Result, error) {
	if g.dead || g.dieBefore {
		g.dead = true
		return store.Result{}, errSearchDead
	}
	g.commits++
	if g.keep {
		g.kept = append(g.kept, store.Batch{
			Workflows: slices.Clone(b.Workflows), Changes: slices.Clone(b.Changes), Enroll: slices.Clone(b.Enroll),
		})
		return g.Store.Commit(ctx, b)
	}
	g.world.checkCommit(b)
	done, err := g.Store.Commit(ctx, b)
	if g.commits == g.dieAfter {
		g.dead = true
		return store.Result{}, errSearchDead
	}
	return done, err
}
