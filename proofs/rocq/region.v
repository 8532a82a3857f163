(******************************************************************************)
(*      The region on which a ReLU network is one affine map                  *)
(*                                                                            *)
(* Fix masks D^(1), ..., D^(L).  The inputs that the network meets with these *)
(* masks are the inputs for which L affine maps, one a layer, have the signs  *)
(* that the masks say: an intersection of half-spaces.                        *)
(*                                                                            *)
(*   pre_mx N D j, pre_bias N D B j == the affine map from the input to what  *)
(*       enters the ReLU of layer j+1, if the layers before have the masks D  *)
(******************************************************************************)
From mathcomp Require Import all_ssreflect all_algebra.
From AlgebraicCNN Require Import recursion linear_cnn gated.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import Order.POrderTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

Section Region.
Variables (K : realDomainType) (d e p : nat -> nat) (N : skipnet K d e p).
Local Notation W := (weight N).
Local Notation P := (pad N).
Local Notation R := (resize N).
Local Notation t := (strength N).
Variables (D : forall i, 'M[K]_(d i)) (B : forall i, 'cV[K]_(d i)).
Local Notation DB := (fun i => D i *m B i).

Definition pre_mx j : 'M[K]_(d j.+1, d 0) :=
  W j.+1 *m P j.+1 *m (\sum_(k < j.+1) t k j *: (R k j *m Wof (gated N D) k)).
Definition pre_bias j : 'cV[K]_(d j.+1) :=
  W j.+1 *m P j.+1 *m (\sum_(k < j.+1) t k j *: (R k j *m Bof (gated N D) DB k)) + B j.+1.

Variables (x : 'cV[K]_(d 0)) (g z : forall i, 'cV[K]_(d i)).
Hypothesis g0 : g 0%N = x.
Hypothesis zS : forall j, z j.+1 =
  W j.+1 *m P j.+1 *m (\sum_(k < j.+1) t k j *: (R k j *m g k)) + B j.+1.
Hypothesis gS : forall j, g j.+1 = relu (z j.+1).

(* as long as the masks are D, the network is the gated one *)
Lemma same_masks L : (forall j, (j < L)%N -> mask (z j.+1) = D j.+1) ->
  forall i, (i <= L)%N -> g i = Wof (gated N D) i *m x + Bof (gated N D) DB i.
Proof.
move=> masks; elim/ltn_ind=> -[|j] IH jL; rewrite -linear_cnn; first by rewrite forward0.
rewrite gS relu_mask masks // zS mulmxDr forwardS !mulmxA; congr (_ *m _ + _).
by apply: eq_bigr => k _; rewrite IH ?linear_cnn // (leq_trans (ltn_ord k : (k <= j)%N) (ltnW jL)).
Qed.

Lemma pre_affine L : (forall j, (j < L)%N -> mask (z j.+1) = D j.+1) ->
  z L.+1 = pre_mx L *m x + pre_bias L.
Proof.
move=> masks; rewrite zS /pre_mx /pre_bias addrA -[_ *m _ *m x]mulmxA -mulmxDr; congr (_ *m _ + _).
rewrite mulmx_suml -big_split; apply: eq_bigr => k _ /=.
by rewrite (same_masks masks (ltn_ord k : (k <= L)%N)) mulmxDr scalerDr -scalemxAl mulmxA.
Qed.

Theorem region L :
  (forall j, (j < L)%N -> mask (z j.+1) = D j.+1) <->
  (forall j, (j < L)%N -> mask (pre_mx j *m x + pre_bias j) = D j.+1).
Proof.
split=> [masks j jL|masks].
  rewrite -pre_affine ?masks // => i ij; apply: masks; exact: ltn_trans ij jL.
elim/ltn_ind=> j IH jL; rewrite pre_affine ?masks // => i ij.
by apply: IH => //; apply: ltn_trans jL.
Qed.

End Region.

(* each of these conditions is a half-space for every entry *)
Theorem mask_half_spaces (K : realDomainType) n (y y' : 'cV[K]_n) :
  mask y = mask y' <-> (forall r, (0 <= y r 0) = (0 <= y' r 0)).
Proof.
split=> [/matrixP same r|same].
  by have := same r r; rewrite !mxE eqxx !mulr1n; do 2 case: (0 <= _) => //;
    move/eqP; rewrite ?oner_eq0 // eq_sym oner_eq0.
by congr diag_mx; apply/rowP => r; rewrite !mxE same.
Qed.

Print Assumptions region.
Print Assumptions mask_half_spaces.
