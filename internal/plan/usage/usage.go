// Package usage is what somebody has used, and how it is forgotten.
package usage

// Past is what was used until a moment, less and less of it the longer ago it was: half after
// each half-life. Its unit is that of the shares that are added: who has used one share without a
// pause has a past of that share. The zero value is nothing.
//
// Sadok, Campista and Costa ("Stateful DRF: Considering the Past in a Multi-Resource Allocation",
// 2021) have the same in continuous time; here whole numbers serve, so that every server comes to the
// same.
type Past struct {
	Amount int64
	// At is the moment, in Unix milliseconds.
	At int64
}

// Add is the past after a share was used for so long (milliseconds) until now.
func (p Past) Add(now, halfLife, share, length int64) Past {
	now = max(now, p.At) // another leader's clock may have been ahead
	return Past{p.Left(now, halfLife) + share - fade(share, length, halfLife), now}
}

// Left is how much of it counts at a moment.
func (p Past) Left(now, halfLife int64) int64 { return fade(p.Amount, now-p.At, halfLife) }

// halves is the part that is left after each sixteenth of a half-life: 2^(-i/16), in units of
// 2^-32.
var halves = [17]int64{
	4294967296, 4112874773, 3938502376, 3771522796, 3611622603, 3458501653, 3311872529, 3171459999, 3037000500,
	2908241642, 2784941738, 2666869345, 2553802834, 2445529972, 2341847524, 2242560872, 2147483648,
}

// fade is what is left of an amount after so long.
func fade(amount, length, halfLife int64) int64 {
	if length <= 0 || amount == 0 {
		return amount
	}
	halfLife = max(halfLife, 1)
	whole := length / halfLife
	if whole >= 62 {
		return 0
	}
	// Between sixteenths the curve is as good as straight.
	const parts = int64(len(halves) - 1)
	rest := length % halfLife
	for halfLife > 1<<30 { // so that nothing below overflows
		rest, halfLife = rest>>1, halfLife>>1
	}
	i, within := rest*parts/halfLife, rest*parts%halfLife
	i = min(i, parts-1)
	part := halves[i] - (halves[i]-halves[i+1])*within/halfLife
	return (amount >> whole) * (part >> 12) >> 20
}
