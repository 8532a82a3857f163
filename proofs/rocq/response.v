(******************************************************************************)
(*        How layer L answers to what enters at layer s; B as a sum over s    *)
(*                                                                            *)
(*      unit_at s l == the identity matrix where l = s, zero elsewhere        *)
(*   response N s L == J_(s,L): the map collapsed from the output of layer s  *)
(*                     to that of layer L (a unit entering at layer s)        *)
(******************************************************************************)
From mathcomp Require Import all_ssreflect all_algebra.
From AlgebraicCNN Require Import recursion linear_cnn.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory.
Local Open Scope ring_scope.

Section Response.
Variables (K : comRingType) (d e p : nat -> nat).

Definition unit_at s l : 'M[K]_(d l, d s) :=
  \matrix_(r, c) ((s == l) && (r == c :> nat))%:R.

Lemma unit_at_id s : unit_at s s = 1%:M.
Proof. by apply/matrixP => r c; rewrite !mxE eqxx. Qed.

Lemma unit_at_neq s l : s != l -> unit_at s l = 0.
Proof. by move=> /negPf sl; apply/matrixP => r c; rewrite !mxE sl. Qed.

Lemma unit_at_mul n (B : forall i, 'M[K]_(d i, n)) s l :
  unit_at s l *m B s = if s == l then B l else 0.
Proof.
by case: eqP => [<-|/eqP sl]; rewrite ?unit_at_id ?mul1mx // unit_at_neq // mul0mx.
Qed.

Variable N : skipnet K d e p.

Definition response s L : 'M[K]_(d L, d s) := forward N (unit_at s 0) (unit_at s) L.

Lemma response_hop s j :
  response s j.+1 = \sum_(k < j.+1) hop N k j.+1 *m response s k + unit_at s j.+1.
Proof. exact: forward_hop. Qed.

(* J_(0,L) is the collapsed W, J_(s,s) = 1, and nothing flows backwards *)
Theorem response_Wof L : response 0 L = Wof N L.
Proof.
rewrite /response unit_at_id; apply: eq_forward => j.
by rewrite unit_at_neq.
Qed.

Theorem response_before s L : (L < s)%N -> response s L = 0.
Proof.
elim/ltn_ind: L => -[|j] IH Ls; first by rewrite /response forward0 unit_at_neq ?gtn_eqF.
rewrite response_hop unit_at_neq ?gtn_eqF // addr0 big1 // => k _.
by rewrite IH ?mulmx0 //; apply: ltn_trans Ls.
Qed.

Theorem response_id s : response s s = 1%:M.
Proof.
case: s => [|j]; first by rewrite /response forward0 unit_at_id.
rewrite response_hop unit_at_id big1 ?add0r // => k _.
by rewrite response_before ?mulmx0.
Qed.

(* every layer's bias reaches the output by its own response *)
Theorem Bof_sum n (B : forall i, 'M[K]_(d i, n)) L :
  Bof N B L = \sum_(1 <= s < L.+1) response s L *m B s.
Proof.
suff H m : (L < m)%N -> Bof N B L = \sum_(1 <= s < m) response s L *m B s by apply: H.
elim/ltn_ind: L => -[|j] IH Lm.
  rewrite /Bof forward0 big_nat big1 // => s /andP[s0 _].
  by rewrite response_before ?mul0mx.
under [RHS]eq_bigr do rewrite response_hop mulmxDl unit_at_mul mulmx_suml.
rewrite big_split /= exchange_big /Bof forward_hop; congr (_ + _).
  apply: eq_bigr => k _; rewrite -/(Bof N B k) IH ?(ltn_trans _ Lm) //.
  by rewrite mulmx_sumr; apply: eq_bigr => s _; rewrite mulmxA.
rewrite (bigD1_seq j.+1) ?mem_index_iota ?iota_uniq //= eqxx big1 ?addr0 // => s.
by move=> /negPf ->.
Qed.

Theorem forward_sum n (X : 'M[K]_(d 0, n)) (B : forall i, 'M[K]_(d i, n)) L :
  forward N X B L = response 0 L *m X + \sum_(1 <= s < L.+1) response s L *m B s.
Proof. by rewrite linear_cnn_batch -Bof_sum response_Wof. Qed.

(* the response by its FIRST hop; response_hop is by its last *)
Theorem response_first s L :
  response s L = unit_at s L + \sum_(s <= j < L) response j.+1 L *m hop N s j.+1.
Proof.
pose B i : 'M[K]_(d i, d s) := if (s < i)%N then hop N s i else 0.
have H i : response s i - unit_at s i = Bof N B i.
  apply: (forward_hop_unique (g := fun i => response s i - unit_at s i)) => [|j].
    by rewrite /response forward0 subrr.
  rewrite response_hop addrK; under [X in X + _]eq_bigr do rewrite mulmxBr.
  rewrite sumrB -addrA -[LHS]addr0; congr (_ + _); apply/esym/eqP.
  rewrite addrC subr_eq0; apply/eqP; rewrite /B ltnS; case: leqP => [sj|js].
    rewrite (bigD1 (Ordinal (sj : (s < j.+1)%N))) //= unit_at_id mulmx1 big1 ?addr0 //.
    by move=> k ks; rewrite unit_at_neq ?mulmx0 // eq_sym; apply: contra ks.
  rewrite big1 // => k _; rewrite unit_at_neq ?mulmx0 // gtn_eqF //.
  by apply: leq_trans (ltn_ord k) js.
rewrite -[LHS](subrK (unit_at s L)) H Bof_sum addrC; congr (_ + _).
rewrite [LHS]big_add1 /=; case: (leqP s L) => [sL|Ls].
  rewrite (big_cat_nat _ _ _ (leq0n s) sL) /= [X in X + _]big_nat big1 ?add0r.
    by rewrite !big_nat; apply: eq_bigr => j /andP[sj _]; rewrite /B ltnS sj.
  by move=> j /andP[_ js]; rewrite /B ltnS leqNgt js mulmx0.
rewrite [RHS]big_geq ?(ltnW Ls) // big_nat big1 // => j /andP[_ jL].
by rewrite /B ltnS leqNgt (ltn_trans jL Ls) mulmx0.
Qed.

End Response.

Print Assumptions response_Wof.
Print Assumptions response_before.
Print Assumptions response_id.
Print Assumptions Bof_sum.
Print Assumptions forward_sum.
Print Assumptions response_first.
