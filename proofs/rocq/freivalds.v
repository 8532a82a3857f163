(******************************************************************************)
(*       What a random evaluation over a finite field proves                  *)
(*                                                                            *)
(* (W, B) and (W', B') are two affine maps over F.  If they differ, they      *)
(* agree on at most one |F|-th of all points; k independent points all miss   *)
(* the difference with probability at most 1/|F|^k.  And an integer that is   *)
(* not 0 is 0 modulo few primes: independent primes carry the test from F_p   *)
(* to the integers.                                                           *)
(*                                                                            *)
(*   agree W B W' B' == the set of points where the two maps agree            *)
(******************************************************************************)
From mathcomp Require Import all_ssreflect all_algebra.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory.
Local Open Scope ring_scope.

Section Freivalds.
Variables (F : finFieldType) (m n : nat).
Variables (W W' : 'M[F]_(m, n)) (B B' : 'cV[F]_m).

Definition agree : {set 'cV[F]_n} := [set x | W *m x + B == W' *m x + B'].

Theorem freivalds : (W, B) <> (W', B') -> (#|agree| * #|F| <= #|{: 'cV[F]_n}|)%N.
Proof.
move=> ne; have [eW|nW] := eqVneq W W'.
  suff -> : agree = set0 by rewrite cards0 mul0n.
  apply/setP => x; rewrite !inE eW (inj_eq (addrI _)).
  by apply/negbTE/eqP => eB; apply: ne; rewrite eW eB.
have /matrix0Pn[i [j nz]] : W - W' != 0 by rewrite subr_eq0.
have agreeP x : x \in agree -> (W - W') *m x = B' - B.
  rewrite inE => /eqP E; apply/eqP; rewrite mulmxBl subr_eq addrAC eq_sym subr_eq.
  by rewrite addrC -E.
(* every point of agreement starts a line of |F| points; the lines are disjoint *)
pose line (z : 'cV[F]_n * F) := z.1 + z.2 *: delta_mx j 0.
have line_inj : {in setX agree [set: F] &, injective line}.
  move=> [x a] [y c]; rewrite !in_setX => /andP[xS _] /andP[yS _] /= E.
  have ac : a = c.
    have := congr1 (mulmx (W - W')) E.
    rewrite /line /= !mulmxDr (agreeP x xS) (agreeP y yS) => /addrI.
    rewrite -!scalemxAr -colE => /matrixP /(_ i 0); rewrite mxE [in LHS]mxE [in RHS]mxE.
    by rewrite [in RHS]mxE; apply: mulIf.
  by move: E; rewrite /line /= ac => /addIr ->.
rewrite -cardsT -cardsX -(card_in_imset line_inj).
exact: max_card.
Qed.

(* k points at once *)
Theorem freivalds_points k : (W, B) <> (W', B') ->
  (#|[set x : {ffun 'I_k -> 'cV[F]_n} | [forall i, x i \in agree]]| * #|F| ^ k
   <= #|{: {ffun 'I_k -> 'cV[F]_n}}|)%N.
Proof.
move=> /freivalds one; rewrite card_ffun card_ord.
have -> : #|[set x : {ffun 'I_k -> 'cV[F]_n} | [forall i, x i \in agree]]| = (#|agree| ^ k)%N.
  rewrite -[k in RHS]card_ord -card_ffun_on; apply: eq_card => x.
  by rewrite inE; apply/forallP/ffun_onP.
by rewrite -expnMn; case: (posnP k) => [->|k0]; rewrite ?expn0 ?leq_exp2r.
Qed.
End Freivalds.

(* a positive integer below c^k has fewer than k prime divisors that are >= c *)
Theorem few_bad_primes (c a : nat) (s : seq nat) :
  (0 < a)%N -> uniq s -> all prime s -> all (leq c) s -> all (dvdn^~ a) s ->
  (c ^ size s <= a)%N.
Proof.
move=> a0 us ps cs ds; apply: leq_trans (dvdn_leq a0 (_ : \prod_(q <- s) q %| a)%N).
  elim: s {us ps ds} cs => [|q s IH] /=; first by rewrite big_nil.
  by rewrite expnS big_cons => /andP[cq /IH]; apply: leq_mul.
elim: s us ps ds {cs} => [|q s IH] /=; first by rewrite big_nil dvd1n.
move=> /andP[qs us] /andP[pq ps] /andP[qa ds]; rewrite big_cons Gauss_dvd ?qa ?IH //.
rewrite prime_coprime // Euclid_dvd_prod // big_has; apply/negP => /hasP[r rs].
by rewrite dvdn_prime2 ?(allP ps r rs) // => /eqP E; rewrite E rs in qs.
Qed.

Print Assumptions freivalds.
Print Assumptions freivalds_points.
Print Assumptions few_bad_primes.
