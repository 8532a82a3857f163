(******************************************************************************)
(*        The adjoint recursion: W by one backward pass per output            *)
(*                                                                            *)
(*   G_L = 1,                                                                 *)
(*   G_k = sum_(k < i <= L) t^(k,i-1) R^(k,i-1)^T P^(i)^T W^(i)^T G_i         *)
(*                                                                            *)
(*   adjoint N L k == G_k, of size d k x d L                                  *)
(******************************************************************************)
From mathcomp Require Import all_ssreflect all_algebra.
From AlgebraicCNN Require Import recursion linear_cnn response.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory.
Local Open Scope ring_scope.

Section Adjoint.
Variables (K : comRingType) (d e p : nat -> nat) (N : skipnet K d e p) (L : nat).
Local Notation W := (weight N).
Local Notation P := (pad N).
Local Notation R := (resize N).
Local Notation t := (strength N).

(* G_k with a bound m on the depth of the recursion, enough when L - k <= m *)
Fixpoint adjoint_within (m k : nat) : 'M[K]_(d k, d L) :=
  match m with
  | 0 => (unit_at K d k L)^T
  | m'.+1 =>
      (unit_at K d k L)^T +
      \sum_(k <= j < L) t k j *: ((R k j)^T *m (P j.+1)^T *m (W j.+1)^T
                                  *m adjoint_within m' j.+1)
  end.
Definition adjoint k := adjoint_within (L - k) k.

Lemma adjoint_withinE m k : (L - k <= m)%N -> adjoint_within m k = (response N k L)^T.
Proof.
elim: m k => [|m IH] k Lm.
  rewrite response_first big_geq ?addr0 //.
  by rewrite -subn_eq0 -leqn0.
rewrite response_first raddfD raddf_sum /=; congr (_ + _).
rewrite !big_nat; apply: eq_bigr => j /andP[kj jL].
rewrite IH; last first.
  by move: Lm; rewrite !leq_subLR addnS -addSn => /leq_trans -> //; rewrite leq_add2r.
by rewrite trmx_mul /hop linearZ /= -scalemxAl /word !trmx_mul mulmxA.
Qed.

(* G_k is the transpose of the map collapsed from layer k to layer L *)
Theorem adjoint_response k : adjoint k = (response N k L)^T.
Proof. exact: adjoint_withinE. Qed.

(* the definition is the recursion of the header *)
Theorem adjoint_last : adjoint L = 1%:M.
Proof. by rewrite adjoint_response response_id trmx1. Qed.

Theorem adjoint_rec k : (k < L)%N ->
  adjoint k = \sum_(k <= j < L) t k j *: ((R k j)^T *m (P j.+1)^T *m (W j.+1)^T *m adjoint j.+1).
Proof.
move=> kL; rewrite adjoint_response response_first unit_at_neq ?ltn_eqF // add0r raddf_sum /=.
apply: eq_bigr => j _; rewrite adjoint_response.
by rewrite trmx_mul /hop linearZ /= -scalemxAl /word !trmx_mul mulmxA.
Qed.

(* W = G_0^T, and the same pass gives B *)
Theorem adjoint_Wof : Wof N L = (adjoint 0)^T.
Proof. by rewrite adjoint_response trmxK response_Wof. Qed.

Theorem adjoint_Bof n (B : forall i, 'M[K]_(d i, n)) :
  Bof N B L = \sum_(1 <= s < L.+1) (adjoint s)^T *m B s.
Proof. by rewrite Bof_sum; apply: eq_bigr => s _; rewrite adjoint_response trmxK. Qed.

End Adjoint.

Print Assumptions adjoint_response.
Print Assumptions adjoint_last.
Print Assumptions adjoint_rec.
Print Assumptions adjoint_Wof.
Print Assumptions adjoint_Bof.
