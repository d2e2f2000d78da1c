package memstore_test

import (
	"testing"

	"github.com/reeve-scheduler/reeve/internal/store/memstore"
	"github.com/reeve-scheduler/reeve/internal/store/storetest"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, func(*testing.T) storetest.Opened { return opened(memstore.New()) })
}

// opened is a store in memory under test: it survives its closing and a crash of
// whoever uses it as it is.
func opened(s *memstore.Store) storetest.Opened {
	again := func(*testing.T) storetest.Opened { return opened(s) }
	return storetest.Opened{
		Journal: s.Journal(), Tables: s.Tables(), History: s.History(), Cluster: s.Cluster(), Archive: s,
		Reopen: again, Crash: again,
		LosePower: func(*testing.T) storetest.Opened {
			s.LosePower()
			return opened(s)
		},
	}
}
