(******************************************************************************)
(*        The error identity g - f = sum_i J_i delta_i, and its bound         *)
(*                                                                            *)
(* f is the exact network; g is the computed one, which adds an error         *)
(* delta_i at every layer i (rounding, a changed weight, anything).           *)
(* J_i = response N i L is the map collapsed from layer i to the output.      *)
(******************************************************************************)
From mathcomp Require Import all_ssreflect all_algebra.
From AlgebraicCNN Require Import recursion linear_cnn response.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import Order.POrderTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

Section Identity.
Variables (K : comRingType) (d e p : nat -> nat) (N : skipnet K d e p) (n : nat).
Variables (X : 'M[K]_(d 0, n)) (B delta g : forall i, 'M[K]_(d i, n)).
Hypothesis g0 : g 0%N = X.
Hypothesis gS : forall j, g j.+1 =
  weight N j.+1 *m pad N j.+1 *m
    (\sum_(k < j.+1) strength N k j *: (resize N k j *m g k)) + B j.+1 + delta j.+1.

Theorem error_identity L :
  g L - forward N X B L = \sum_(1 <= i < L.+1) response N i L *m delta i.
Proof.
have -> : g L = forward N X (fun i => B i + delta i) L.
  by apply: forward_unique => // j; rewrite gS addrA.
rewrite !linear_cnn_batch !Bof_sum opprD addrACA subrr add0r -sumrB.
by apply: eq_bigr => i _; rewrite mulmxDr addrAC subrr add0r.
Qed.
End Identity.

Section Bound.
Variables (K : realDomainType) (d e p : nat -> nat) (N : skipnet K d e p).
Variables (X : 'cV[K]_(d 0)) (B delta g eps : forall i, 'cV[K]_(d i)).
Hypothesis g0 : g 0%N = X.
Hypothesis gS : forall j, g j.+1 =
  weight N j.+1 *m pad N j.+1 *m
    (\sum_(k < j.+1) strength N k j *: (resize N k j *m g k)) + B j.+1 + delta j.+1.
Hypothesis small : forall i s, `|delta i s 0| <= eps i s 0.

(* entry by entry, |g - f| <= sum_i |J_i| eps_i *)
Theorem error_bound L r :
  `|g L r 0 - forward N X B L r 0| <=
  \sum_(1 <= i < L.+1) \sum_s `|response N i L r s| * eps i s 0.
Proof.
have /matrixP/(_ r 0) := error_identity g0 gS L; rewrite mxE mxE => ->; rewrite summxE.
apply: le_trans (ler_norm_sum _ _ _) _; apply: ler_sum => i _.
rewrite mxE; apply: le_trans (ler_norm_sum _ _ _) _; apply: ler_sum => s _.
by rewrite normrM ler_wpmul2l.
Qed.
End Bound.

Print Assumptions error_identity.
Print Assumptions error_bound.
