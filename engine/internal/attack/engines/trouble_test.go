//go:build unix

package engines

import (
	"math/rand/v2"
	"time"
)

// This file has the troubles that engines get into.

// makeTroubles makes so many troubles, one after the other. The first ones are one of
// each kind.
func (a *arena) makeTroubles(n int) {
	kinds := []func(*slot, *process, *rand.Rand){
		a.killed, a.stoppedDuringAPause, a.cutOff, a.heldUp, a.databaseRestarts, a.leaves, a.cutAgainAndAgain, a.stoppedForLong, a.slowedDown,
		a.refused, a.stoppedForShort,
	}
	order := a.rand("order").Perm(len(kinds))
	for i := range n {
		rng := a.rand("trouble", i)
		kind := kinds[rng.IntN(len(kinds))]
		if i < len(kinds) {
			kind = kinds[order[i]]
		}
		a.until("all engines run", func() bool { return a.running() == engines })
		s := a.slots[rng.IntN(engines)]
		if l := a.runs(s); l != nil {
			kind(s, l, rng)
		}
		time.Sleep(time.Duration(rng.IntN(800)) * time.Millisecond)
	}
	a.until("all engines run", func() bool { return a.running() == engines })
}

func (a *arena) count(n *int) {
	a.mu.Lock()
	*n++
	a.mu.Unlock()
}

// leases is a part of a lease, or several.
func (a *arena) leases(rng *rand.Rand, least, most float64) time.Duration {
	return time.Duration((least + rng.Float64()*(most-least)) * float64(a.lease))
}

func (a *arena) killed(s *slot, l *process, rng *rand.Rand) {
	a.count(&a.figures.kills)
	a.kill(l)
	time.Sleep(a.leases(rng, 0, 1.5))
	a.start(s)
}

func (a *arena) leaves(s *slot, l *process, rng *rand.Rand) {
	a.count(&a.figures.leaves)
	a.leave(l)
	time.Sleep(a.leases(rng, 0, 0.5))
	a.start(s)
}

func (a *arena) stoppedForLong(_ *slot, l *process, rng *rand.Rand) {
	a.count(&a.figures.stops)
	a.stop(l, func() { time.Sleep(a.leases(rng, 1.2, 2)) })
}

func (a *arena) stoppedForShort(_ *slot, l *process, rng *rand.Rand) {
	a.count(&a.figures.stops)
	a.stop(l, func() { time.Sleep(a.leases(rng, 0, 0.6)) })
}

// stoppedDuringAPause: an engine is stopped, the others take over, the workflow is
// paused, and the engine that was stopped goes on.
func (a *arena) stoppedDuringAPause(_ *slot, l *process, rng *rand.Rand) {
	a.count(&a.figures.stops)
	goOn := make(chan struct{})
	stopped := make(chan struct{})
	go a.stop(l, func() {
		close(stopped)
		<-goOn
	})
	<-stopped
	time.Sleep(a.leases(rng, 1, 1.5))
	if !a.brakes.TryLock() { // it is being paused by somebody else
		close(goOn)
		return
	}
	defer a.brakes.Unlock()
	a.paused(a.any(l), func(bool) {
		close(goOn)
		time.Sleep(a.leases(rng, 0.2, 0.5))
	})
}

// cutOff: all connections are cut, and no new ones are made for a while.
func (a *arena) cutOff(s *slot, l *process, rng *rand.Rand) {
	a.count(&a.figures.cuts)
	end := a.begin(l, "cut off")
	s.proxy.set(func() { s.proxy.refuse = true })
	s.proxy.cut()
	time.Sleep(a.leases(rng, 0.2, 2))
	s.proxy.heal()
	end()
}

func (a *arena) refused(s *slot, l *process, rng *rand.Rand) {
	a.count(&a.figures.refusals)
	end := a.begin(l, "refused")
	s.proxy.set(func() { s.proxy.refuse, s.proxy.left = true, rng.IntN(5000) })
	time.Sleep(a.leases(rng, 0.2, 1.2))
	s.proxy.heal()
	end()
}

// cutAgainAndAgain: connections are cut at any byte, and can be made again.
func (a *arena) cutAgainAndAgain(s *slot, l *process, rng *rand.Rand) {
	a.count(&a.figures.cuts)
	end := a.begin(l, "cut again and again")
	for range 30 {
		s.proxy.set(func() { s.proxy.left = rng.IntN(8000) })
		time.Sleep(time.Duration(rng.IntN(100)) * time.Millisecond)
	}
	s.proxy.heal()
	end()
}

// heldUp: what the engine sends, or what it is sent, arrives late.
func (a *arena) heldUp(s *slot, l *process, rng *rand.Rand) {
	a.count(&a.figures.stalls)
	end := a.begin(l, "held up")
	direction := rng.IntN(3)
	s.proxy.set(func() { s.proxy.hold = [2]bool{direction != down, direction != up} })
	time.Sleep(a.leases(rng, 0.2, 2))
	if rng.IntN(4) == 0 {
		s.proxy.cut()
	}
	s.proxy.heal()
	end()
}

func (a *arena) slowedDown(s *slot, l *process, rng *rand.Rand) {
	a.count(&a.figures.slow)
	end := a.begin(l, "slowed down")
	s.proxy.set(func() { s.proxy.delay = time.Duration(5+rng.IntN(40)) * time.Millisecond })
	time.Sleep(a.leases(rng, 0.5, 1.5))
	s.proxy.heal()
	end()
}

func (a *arena) databaseRestarts(*slot, *process, *rand.Rand) {
	if !a.server.own {
		return
	}
	a.count(&a.figures.restarts)
	end := a.begin(nil, "the database restarts")
	a.server.stop()
	a.server.start()
	end()
}
